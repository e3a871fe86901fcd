"""Greedy decoding with drafts from the source against greedy decoding without drafts.

    python benchmarks/drafting.py MODEL PAIRS.tsv.gz > benchmarks/results/drafting.json

Both sides run the same weights over the same sources, interleaved. Outputs must be the same.
"""

import argparse
import gzip
import json
import platform
import statistics
import sys
import time

import torch

from warmstart import Seq2Seq
from warmstart.generation.result import Generated

BATCHES = ((1, 12), (8, 32), (32, 64))  # batch size, and sources of a run
ROUNDS = 5
MOST = 100  # tokens of an output


def run(
    model: Seq2Seq, texts: list[str], batch: int, draft: str, most: int = MOST
) -> tuple[float, list[Generated]]:
    """Seconds and outputs of one run."""
    started = time.perf_counter()
    found = model.generate_detailed(texts, batch_size=batch, max_length=most, draft=draft)
    return time.perf_counter() - started, [outputs[0] for outputs in found]


def measure(model: Seq2Seq, texts: list[str], batch: int) -> dict[str, object]:
    """Medians for one batch size, and whether the outputs agree."""
    seconds: dict[str, list[float]] = {"none": [], "source": []}
    outputs: dict[str, list[Generated]] = {}
    for kind in seconds:  # a warm-up
        run(model, texts[:batch], batch, kind)
    for _ in range(ROUNDS):
        for kind, taken in seconds.items():
            one, outputs[kind] = run(model, texts, batch, kind)
            taken.append(one)
    ratios = sorted(a / b for a, b in zip(seconds["none"], seconds["source"], strict=True))
    tokens = sum(len(output.tokens) for output in outputs["source"])
    return {
        "batch": batch,
        "sources": len(texts),
        "tokens": tokens,
        "tokens_per_step": round(tokens / sum(output.steps for output in outputs["source"]), 2),
        "times_faster": round(statistics.median(ratios), 2),
        "spread": [round(ratios[0], 2), round(ratios[-1], 2)],
        "seconds_none": [round(second, 2) for second in seconds["none"]],
        "seconds_source": [round(second, 2) for second in seconds["source"]],
        "same_outputs": all(
            a.tokens == b.tokens for a, b in zip(outputs["none"], outputs["source"], strict=True)
        ),
    }


def agree(model: Seq2Seq, texts: list[str], batch: int, most: int) -> dict[str, object]:
    """Numbers of outputs that differ and of batches decoded again, over many sources."""
    plain, drafted = (run(model, texts, batch, kind, most)[1] for kind in ("none", "source"))
    return {
        "sources": len(texts),
        "batch": batch,
        "max_length": most,
        "tokens": sum(len(output.tokens) for output in drafted),
        "steps": sum(output.steps for output in drafted),
        "different_outputs": sum(a.tokens != b.tokens for a, b in zip(plain, drafted, strict=True)),
        "decoded_again": sum(output.steps > len(output.tokens) for output in drafted),
    }


def main() -> None:
    """Prints the result as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("pairs", help="source, tab, target")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="*", default=[size for size, _ in BATCHES])
    parser.add_argument("--agree", type=int, default=0, help="sources to compare outputs of")
    parser.add_argument("--agree-from", type=int, default=0, help="sources to skip")
    parser.add_argument("--max-length", type=int, default=MOST, help="tokens, for --agree")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with gzip.open(arguments.pairs, "rt", encoding="utf-8") as lines:
        texts = [line.split("\t")[0] for line in lines]
    model = Seq2Seq.from_pretrained(arguments.model)
    result: dict[str, object] = {
        "processor": platform.processor() or platform.machine(),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "model": arguments.model,
        "dtype": "float32",
    }
    if arguments.agree:
        chosen = texts[arguments.agree_from :][: arguments.agree]
        result["agreement"] = agree(model, chosen, 8, arguments.max_length)
    else:
        result["runs"] = [
            measure(model, texts[:count], size)
            for size, count in BATCHES
            if size in arguments.batches
        ]
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
