"""Memory of `warmstart generate` over many lines, block by block.

An echo replaces the model: reading, distributing, ordering, writing and recording are measured, the
only parts that could grow with the number of lines.

    python benchmarks/bulk_memory.py --lines 10000000 --output benchmarks/results/bulk_memory.json
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

from warmstart.bulk.blocks import Block
from warmstart.bulk.decode import Counts
from warmstart.bulk.job import Job
from warmstart.bulk.run import generate_files
from warmstart.generation.generation_config import GenerationConfig
from warmstart.generation.result import Generated
from warmstart.seq2seq import Seq2Seq


class Echo:
    """Stands in for a model."""

    generation = GenerationConfig()

    def generate_each(
        self, texts: Sequence[str], **settings: object
    ) -> Iterator[tuple[int, list[Generated]]]:
        """Each text is its own output."""
        for index, text in enumerate(texts):
            output = Generated(text=text, tokens=(), score=0.0, token_scores=(), at_limit=False)
            yield index, [output]


def memory() -> dict[str, float]:
    """Memory of this process in MB: all resident, and resident without mapped files."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = dict(line.split(":", 1) for line in status.splitlines())
    return {
        name: round(int(found[key].split()[0]) / 1024, 1)
        for name, key in (("resident_mb", "VmRSS"), ("anonymous_mb", "RssAnon"))
    }


def main() -> None:
    """Writes lines, generates for them, and records the memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    lines: int = arguments.lines
    samples: list[dict[str, float]] = []

    def note(block: Block, counts: Counts) -> None:
        if counts.lines >= len(samples) * lines // 20:
            samples.append({"lines": counts.lines, **memory()})

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.txt", Path(folder) / "out.txt"
        with source.open("w", encoding="utf-8") as file:
            for number in range(lines):
                file.write(f"line {number} of many short lines of text\n")
        began = time.monotonic()
        with mock.patch.object(Seq2Seq, "from_pretrained", return_value=Echo()):
            job = Job(model=folder)
            counts = generate_files(job, [source], output=target, on_block=note)
        seconds = time.monotonic() - began
        assert counts.lines == lines
        assert source.read_bytes() == target.read_bytes()
    result = {
        "title": f"{lines:,} lines through generate, the model replaced by an echo",
        "seconds": round(seconds, 1),
        "machine": {"processor": platform.machine(), "python": platform.python_version()},
        "samples": samples,
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for sample in samples:
        print(sample)


if __name__ == "__main__":
    main()
