"""Speed and memory of decoding: warmstart against others, interleaved in one run.

    python benchmarks/generation.py MODEL TEXTS --output benchmarks/results/generation.json \
        --only greedy-1

MODEL is a model folder, TEXTS a gzipped file with sources in its first column. `--only` measures
some pieces and adds them to an existing result; without it all are measured. Each system runs in a
process of its own, with two threads. Every call writes exactly 48 tokens per source, so that all do
the same work. In the piece "real" outputs run to the end token, so it has only systems with the
same weights, and its result is stored under the name of TEXTS; in "drafts" they do, too, one source
at a time, and CTranslate2 writes the same number of tokens for each. CTranslate2 runs a Transformer
of the same shape with random weights, ONNX Runtime the same weights, see `onnx_runtime.py`; they
need `pip install -e '.[benchmarks]'`. The figure of the docs is docs/figures/generation.png.
"""

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from generation_systems import THREADS, prepare

TOKENS, ROUNDS = 48, 5
SYSTEMS = (
    "warmstart-float32",
    "warmstart-compiled-float32",
    "warmstart-float16",
    "warmstart-int8",
    "transformers-float32",
    "ctranslate2-float32",
    "ctranslate2-int8",
    "onnxruntime-float32",
    "onnxruntime-int8",
)
REAL = (
    "warmstart-float32",
    "warmstart-drafts-float32",
    "warmstart-compiled-float32",
    "warmstart-int8",
    "transformers-float32",
    "onnxruntime-float32",
)
ONE_SOURCE = (
    "warmstart-compiled-float16",
    "warmstart-compiled-int8",
)  # one source only
DRAFTS = (
    "warmstart-float32",
    "warmstart-compiled-float32",
    "warmstart-drafts-float32",
    "warmstart-drafts-compiled-float32",
    "transformers-float32",
    "ctranslate2-float32",
    "onnxruntime-float32",
)
HALF = ("warmstart-bfloat16", "transformers-bfloat16")  # slow without its instructions
PIECES = {
    f"{name}-{batch}": (beams, batch)
    for name, beams in (("greedy", 1), ("beam", 4))
    for batch in (1, 8, 32)
}
OTHERS = ("real", "drafts", "memory")


class System:
    """A process that decodes on request."""

    def __init__(self, name: str, folder: Path) -> None:
        environment = {
            **os.environ,
            "CT2_USE_MKL": "0",
            "OMP_NUM_THREADS": str(THREADS),
            "WARMSTART_CACHE": str(folder / "cache"),  # of compiled steps
        }
        script = Path(__file__).with_name("generation_systems.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def decode(self, sources: list[list[int]], beams: int, tokens: int | None) -> dict[str, Any]:
        """One call; without `tokens` up to the end token."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"sources": sources, "beams": beams, "tokens": tokens}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        reply: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert tokens is None or set(reply["lengths"]) == {tokens}, reply["lengths"]
        return reply

    def end(self) -> None:
        """Ends the process."""
        self._process.communicate()


def measure(piece: str, rows: list[list[int]], folder: Path) -> dict[str, Any]:
    """Medians and spreads of a piece, in milliseconds, after a call to warm up."""
    beams, batch = PIECES[piece]
    names = SYSTEMS + (ONE_SOURCE if batch == 1 else ()) + (HALF if beams * batch <= 8 else ())
    systems = {name: System(name, folder) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(ROUNDS + 1):
        sources = rows[:batch]
        for name, system in systems.items():
            reply = system.decode(sources, beams, TOKENS)
            if turn:
                seconds[name].append(reply["seconds"])
    for system in systems.values():
        system.end()
    return {name: _spread(times) for name, times in seconds.items()}


def to_the_end(
    batches: list[list[list[int]]], names: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    """Greedy search, batch after batch, up to the end token.

    CTranslate2's random model never writes the end token: one source at a time, it writes as many
    tokens as ours does.
    """
    systems = {name: System(name, folder) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    lengths: dict[str, list[list[int]]] = {}
    for turn in range(ROUNDS + 1):
        for name, system in systems.items():
            replies = []
            for at, batch in enumerate(batches):
                tokens = lengths[names[0]][at][0] if name.startswith("ctranslate2") else None
                replies.append(system.decode(batch, 1, tokens))
            lengths[name] = [reply["lengths"] for reply in replies]
            if turn:
                seconds[name].append(sum(reply["seconds"] for reply in replies))
    for system in systems.values():
        system.end()
    return {
        name: {
            **_spread(times),
            "sources": sum(map(len, batches)),
            "tokens": sum(map(sum, lengths[name])),
        }
        for name, times in seconds.items()
    }


def _spread(times: list[float]) -> dict[str, int]:
    return {
        "median_ms": round(1000 * statistics.median(times)),
        "least_ms": round(1000 * min(times)),
        "most_ms": round(1000 * max(times)),
    }


def memory(rows: list[list[int]], folder: Path) -> dict[str, Any]:
    """Peak memory of a process in MB: after loading and a warm-up, then after two batches of 32."""
    found = {}
    for name in SYSTEMS:
        found[name] = {}
        for case, beams, batch, tokens in (
            ("1 source, greedy, 8 tokens", 1, 1, 8),
            ("32 sources, greedy, 48 tokens", 1, 32, TOKENS),
            ("32 sources, greedy, 96 tokens", 1, 32, 2 * TOKENS),
            ("32 sources, 4 beams, 48 tokens", 4, 32, TOKENS),
        ):
            system = System(name, folder)
            found[name][case] = system.decode(rows[:batch], beams, tokens)["peak_mb"]
            system.end()
    return found


def machine() -> dict[str, Any]:
    """The machine and the versions."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(":") for line in lines)
    facts = {key.strip(): value for key, _, value in pairs}
    extensions = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_tile")
    return {
        "processor": facts.get("model name", platform.machine()).strip(),
        "instructions": [name for name in extensions if name in facts.get("flags", "").split()],
        "cores_allowed": len(os.sched_getaffinity(0)),
        "threads": THREADS,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "ctranslate2", "onnxruntime")},
    }


def draw(result: dict[str, Any], path: Path) -> None:
    """Speed of each system, as a multiple of transformers' in float32."""
    import matplotlib.pyplot as plot

    pieces = [piece for piece in PIECES if piece in result["milliseconds"]]
    figure, axes = plot.subplots(figsize=(10, 4.5))
    names = (*SYSTEMS[:4], *ONE_SOURCE, *SYSTEMS[4:])
    for index, name in enumerate(names):
        found = [result["milliseconds"][piece] for piece in pieces]
        bars = {
            at + 0.075 * (index - len(names) / 2): peers["transformers-float32"]["median_ms"]
            / peers[name]["median_ms"]
            for at, peers in enumerate(found)
            if name in peers
        }
        color = plot.get_cmap("tab20")(index)
        axes.bar(list(bars), list(bars.values()), 0.07, label=name.replace("-", " "), color=color)
    axes.set_xticks(range(len(pieces)), [piece.replace("-", ", batch ") for piece in pieces])
    axes.set_ylabel("times as fast as transformers, float32")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measures the requested pieces and adds them to the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", choices=[*PIECES, *OTHERS, "figure"], action="append")
    parser.add_argument("--figure", type=Path, help="default: --output with .png")
    parser.add_argument("--folder", type=Path, help="the models of an earlier run")
    options = parser.parse_args()
    result: dict[str, Any] = {"milliseconds": {}}
    if options.output.exists():
        result = json.loads(options.output.read_text(encoding="utf-8"))
    result.update(machine=machine(), tokens=TOKENS, rounds=ROUNDS)
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        if not (folder / "ctranslate2").exists():
            prepare(options.model, folder)
        rows = _rows(options.model, options.texts)
        for piece in options.only or [*PIECES, *OTHERS]:
            if piece in PIECES:
                result["milliseconds"][piece] = measure(piece, rows[:32], folder)
            elif piece in ("real", "drafts"):
                if piece == "real":
                    key, names, alike = "real_lengths", REAL, sorted(rows, key=len)
                    batches = [alike[first : first + 32] for first in range(0, len(alike), 32)]
                else:
                    key, names, batches = "drafts", DRAFTS, [[row] for row in rows[:8]]
                found = to_the_end(batches, names, folder)
                result.setdefault(key, {})[options.texts.parent.name] = found
                print(json.dumps(found, indent=1))
            elif piece == "memory":
                result["peak_mb"] = memory(rows[:32], folder)
            else:
                draw(result, options.figure or options.output.with_suffix(".png"))
            options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(piece, json.dumps(result["milliseconds"].get(piece), indent=1))


def _rows(model: str, texts: Path) -> list[list[int]]:
    from transformers import AutoTokenizer

    with gzip.open(texts, "rt", encoding="utf-8") as file:
        lines = [next(file).split("\t")[0] for _ in range(64)]
    rows: list[list[int]] = AutoTokenizer.from_pretrained(model)(lines)["input_ids"]
    return rows


if __name__ == "__main__":
    main()
