"""Memory of a large data set from file to batches, second by second.

Writes a file of synthetic pairs and runs the steps of training on it, in a process whose memory is
measured: reading, caching, counting duplicates, holding out a validation split, tokenizing, and
drawing batches in a shuffled order; then all of it a second time, from the cache.

    python benchmarks/streaming.py --pairs 10000000 --tokenized 10000000 --vocabulary vocab.txt \
        --output benchmarks/results/streaming.json --figure docs/figures/streaming.png

The figure needs matplotlib; ``--draw`` makes it from an existing result.
"""

import argparse
import gc
import json
import os
import platform
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

BATCH = 32


def write_pairs(path: Path, count: int, vocabulary: Path, seed: int = 0) -> None:
    """Pairs of 5 to 24 and 3 to 16 words, tab-separated; one in a hundred occurs twice."""
    dice = random.Random(seed)
    known = vocabulary.read_text(encoding="utf-8").split()
    words = [word for word in known if word.isascii() and word.isalpha() and len(word) > 1]
    weights = [1 / (rank + 2) for rank in range(len(words))]  # as in a natural language
    # Drawing is slow in Python: a long text is drawn once, and pairs are stretches of it.
    text = dice.choices(words, weights, k=2_000_000)
    line = ""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            if number % 100 or not line:
                start = dice.randrange(len(text) - 100)
                middle = start + dice.randint(5, 24)
                target = text[middle : middle + dice.randint(3, 16)]
                line = f"{' '.join(text[start:middle])}\t{' '.join(target)}\n"
            file.write(line)


def memory() -> dict[str, float]:
    """Memory of this process in MB: all resident, and resident without mapped files."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = dict(line.split(":", 1) for line in status.splitlines())
    return {
        name: int(found[key].split()[0]) / 1024
        for name, key in (("resident_mb", "VmRSS"), ("anonymous_mb", "RssAnon"))
    }


class Watch:
    """Records memory and stage of this process every second."""

    def __init__(self) -> None:
        self.samples: list[dict[str, Any]] = []
        self.stages: list[dict[str, Any]] = []
        self.started = time.monotonic()
        self.stage = "start"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            seconds = round(time.monotonic() - self.started, 1)
            values = {name: round(value, 1) for name, value in memory().items()}
            self.samples.append({"seconds": seconds, "stage": self.stage, **values})
            time.sleep(1)

    @contextmanager
    def of(self, name: str, rows: int) -> Iterator[None]:
        """Begins a stage with a number of rows."""
        self.stage = name
        print(f"{name} ...", file=sys.stderr, flush=True)
        began = time.monotonic()
        yield
        gc.collect()
        seconds = time.monotonic() - began
        now = {"stage": name, **memory()}
        peaks = [sample for sample in [*self.samples, now] if sample["stage"] == name]
        self.stages.append(
            {
                "stage": name,
                "rows": rows,
                "seconds": round(seconds, 2),
                "peak_resident_mb": round(max(sample["resident_mb"] for sample in peaks)),
                "peak_anonymous_mb": round(max(sample["anonymous_mb"] for sample in peaks)),
            }
        )
        print(f"  {self.stages[-1]}", file=sys.stderr, flush=True)


def measure(path: Path, vocabulary: Path, pairs: int, tokenized: int) -> dict[str, Any]:
    """Runs all stages twice."""
    watch = Watch()
    with watch.of("import", 0):
        import torch
        from transformers import BertTokenizerFast

        from warmstart.cache import file_digest
        from warmstart.data.hold_out import hold_out
        from warmstart.data.read_pairs import read_pairs
        from warmstart.data.report import report_data
        from warmstart.data.stored import find_stored, keep_examples
        from warmstart.data.token_rows import tokenize_examples
        from warmstart.text.tokenizer_pair import TokenizerPair
        from warmstart.training.order import shuffled

        tokenizer = BertTokenizerFast(vocab=str(vocabulary))
        special = {"decoder_start_token_id": tokenizer.cls_token_id}
        tokenizers = TokenizerPair.of(tokenizer, tokenizer, special)

    def examples_again() -> Any:
        return find_stored(file_digest(path))

    for time_of in ("first", "second"):
        with watch.of(f"{time_of}: find or read and keep", pairs):
            examples = examples_again() or keep_examples(read_pairs(path), key=file_digest(path))
        with watch.of(f"{time_of}: report", pairs):
            report = report_data({"train": examples})
        with watch.of(f"{time_of}: hold out", pairs):
            train, validation = hold_out(examples)
            train = train[:tokenized]
        with watch.of(f"{time_of}: find or tokenize", len(train)):
            rows = tokenize_examples(tokenizers, train, 64, 32)
        with watch.of(f"{time_of}: first batch", BATCH):
            generator = torch.Generator().manual_seed(0)
            order = next(shuffled(len(rows), BATCH, generator))
            batch = [rows[index] for index in order.tolist()]
        assert len(batch) == BATCH
    with watch.of("batches of a shuffled epoch", min(len(rows), 2_000_000)):
        generator = torch.Generator().manual_seed(0)
        tokens = 0
        for order in islice(shuffled(len(rows), 50 * BATCH, generator), 2_000_000 // (50 * BATCH)):
            rows.lengths(order.numpy())
            for index in order.tolist():
                row = rows[index]
                tokens += len(row.source) + len(row.target)
    return {
        "stages": watch.stages,
        "samples": watch.samples,
        "report": report.to_json(),
        "report_text": str(report),
        "held_out": len(validation),
    }


def draw(result: dict[str, Any], path: Path) -> None:
    """Draws memory over time, if matplotlib is installed."""
    try:
        import matplotlib.pyplot as plot
    except ImportError:
        print("no figure: matplotlib is not installed", file=sys.stderr)
        return
    samples = result["samples"]
    seconds = [sample["seconds"] for sample in samples]
    figure, axes = plot.subplots(figsize=(9, 4))
    axes.plot(seconds, [sample["resident_mb"] for sample in samples], label="resident")
    axes.plot(seconds, [sample["anonymous_mb"] for sample in samples], label="without mapped files")
    title = f"{result['title']}; a file of {result['file_mb']:,} MB"
    axes.set(xlabel="seconds", ylabel="MB", ylim=(0, None), title=title)
    stage = ""
    for sample in samples:
        if sample["stage"] != stage:
            stage = sample["stage"]
            axes.axvline(sample["seconds"], color="grey", linewidth=0.5)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def table(result: dict[str, Any]) -> str:
    """The stages as text."""
    lines = [f"{'stage':36} {'rows':>12} {'seconds':>9} {'peak MB':>8} {'anonymous':>9}"]
    for stage in result["stages"]:
        lines.append(
            f"{stage['stage']:36} {stage['rows']:>12,} {stage['seconds']:>9.1f} "
            f"{stage['peak_resident_mb']:>8.0f} {stage['peak_anonymous_mb']:>9.0f}"
        )
    return "\n".join(lines)


def _as_json(result: dict[str, Any]) -> str:
    """JSON with one line per sample."""
    samples = ",\n".join(f"  {json.dumps(sample)}" for sample in result["samples"])
    head = json.dumps({**result, "samples": []}, indent=1)
    return head.replace('"samples": []', f'"samples": [\n{samples}\n ]') + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--tokenized", type=int, default=1_000_000, help="of them, from the start")
    parser.add_argument("--vocabulary", type=Path, help="a BERT vocab.txt")
    parser.add_argument("--folder", type=Path, help="for data and cache; default: a temporary one")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--draw", action="store_true", help="only the figure, from --output")
    parser.add_argument("--note", default="", help="about the machine, for the result")
    options = parser.parse_args()
    if options.draw:
        result = json.loads(options.output.read_text(encoding="utf-8"))
    elif options.vocabulary is None:
        parser.error("--vocabulary is needed: the vocab.txt of a BERT")
    elif options.folder is not None:
        result = _run(options, options.folder)
    else:
        with tempfile.TemporaryDirectory(prefix="warmstart-streaming-") as folder:
            result = _run(options, Path(folder))
    if not options.draw:
        options.output.write_text(_as_json(result), encoding="utf-8")
    if options.figure is not None:
        draw(result, options.figure)
    print(table(result))


def _run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    os.environ["WARMSTART_CACHE"] = str(folder / "cache")
    path = folder / "pairs.tsv"
    if not path.exists():
        write_pairs(path, options.pairs, options.vocabulary)
    result = measure(path, options.vocabulary, options.pairs, options.tokenized)
    return {
        "title": f"{options.pairs:,} pairs, {options.tokenized:,} of them tokenized",
        "file_mb": round(path.stat().st_size / 2**20),
        "cache_mb": round(
            sum(file.stat().st_size for file in (folder / "cache").rglob("*.arrow")) / 2**20
        ),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores_allowed": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "note": options.note,
        },
        **result,
    }


if __name__ == "__main__":
    main()
