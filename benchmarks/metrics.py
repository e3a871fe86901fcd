"""Seconds of each metric over 10,000 examples with 8 references, and of its peers.

    python benchmarks/metrics.py > benchmarks/results/metrics.json

Every metric of texts computes its value and its confidence interval from 1000 resamples. The texts
are made from a seed: sources of 12 to 34 words, outputs and references as edits of them. Then
sacrebleu (with its own 1000 resamples) and rouge-score score 500 examples, interleaved
with warmstart. Runs on one core; times are processor times, since others may use the machine.
"""

import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from warmstart.metrics.all_metrics import METRICS, get_metric
from warmstart.metrics.bootstrap import corpus_score
from warmstart.metrics.metric import Metric
from warmstart.metrics.system_outputs import SystemOutputs

EXAMPLES, REFERENCES, RESAMPLES = 10_000, 8, 1000
OF_PEERS = 500  # examples that the peers score
RUNS, RUNS_OF_PEERS = 1, 5
CORE = 0


def texts(seed: int) -> SystemOutputs:
    """Edits of sentences with natural word frequencies."""
    generator = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(generator.choices(letters, k=generator.randint(2, 9))) for _ in range(20_000)]
    weights = list(accumulate(1 / rank for rank in range(1, 20_001)))

    def draw(count: int) -> list[str]:
        return generator.choices(words, cum_weights=weights, k=count)

    def edited(sentence: list[str]) -> str:
        kept = [word for word in sentence if generator.random() > 0.12]
        return " ".join(w if generator.random() > 0.15 else draw(1)[0] for w in kept) + " ."

    sentences = [draw(generator.randint(12, 34)) for _ in range(EXAMPLES)]
    return SystemOutputs(
        sources=[" ".join(sentence) for sentence in sentences],
        outputs=[edited(sentence) for sentence in sentences],
        references=[[edited(sentence) for _ in range(REFERENCES)] for sentence in sentences],
        at_limit=[generator.random() < 0.1 for _ in sentences],
    )


def part(system: SystemOutputs, start: int, count: int) -> SystemOutputs:
    """Some of the examples: fresh ones for each run, so that no tokenizer remembers them."""
    rows = slice(start, start + count)
    assert system.sources is not None
    assert system.references is not None
    return SystemOutputs(
        sources=system.sources[rows],
        outputs=system.outputs[rows],
        references=system.references[rows],
    )


def seconds(work: Callable[[], object]) -> float:
    """Processor time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def peer_of(metric: Metric, system: SystemOutputs) -> Callable[[], object]:
    """The same figure by the library that defines it."""
    assert system.references is not None
    if metric.name in ("bleu", "chrf"):
        scorer = BLEU(force=True) if metric.name == "bleu" else CHRF()
        columns = [list(column) for column in zip(*system.references, strict=True)]
        return lambda: scorer.corpus_score(list(system.outputs), columns, n_bootstrap=RESAMPLES)
    rouge = RougeScorer([metric.name], use_stemmer=True)
    pairs = list(zip(system.references, system.outputs, strict=True))
    return lambda: [rouge.score_multi(list(references), output) for references, output in pairs]


def main() -> None:
    """Measures, and prints JSON."""
    os.sched_setaffinity(0, {CORE})
    metrics = [metric for metric in METRICS if metric.name != "bertscore"]
    found: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    values = {}
    for run in range(RUNS):
        system = texts(seed=run)
        for metric in metrics:
            print(f"run {run + 1}: {metric.name}", file=sys.stderr)

            def score(metric: Metric = metric, system: SystemOutputs = system) -> None:
                values[metric.name] = corpus_score(metric, system).value

            found[metric.name].append(seconds(score))
            print(f"  {found[metric.name][-1]:.2f} s", file=sys.stderr)
    ratios = {}
    system = texts(seed=RUNS)
    for number, name in enumerate(("bleu", "chrf", "rouge1", "rouge2", "rougeL", "rougeLsum")):
        print(f"peers: {name}", file=sys.stderr)
        metric = get_metric(name)
        ours, theirs = [], []
        for run in range(RUNS_OF_PEERS + 1):  # the first warms up
            start = (number * 17 + run) % 10 * OF_PEERS
            sample = part(system, start, OF_PEERS)
            ours.append(seconds(partial(corpus_score, metric, sample)))
            theirs.append(seconds(peer_of(metric, sample)))
        ratios[name] = {
            "warmstart_seconds": round(statistics.median(ours[1:]), 3),
            "peer_seconds": round(statistics.median(theirs[1:]), 3),
            "peer_over_warmstart": round(
                statistics.median(t / o for t, o in zip(theirs[1:], ours[1:], strict=True)), 2
            ),
        }
    print(json.dumps(report(found, values, ratios), indent=2))


def report(
    found: dict[str, list[float]],
    values: dict[str, float],
    ratios: dict[str, dict[str, float]],
) -> dict[str, object]:
    """The committed result."""
    return {
        "command": "python benchmarks/metrics.py > benchmarks/results/metrics.json",
        "what": f"{EXAMPLES} examples with {REFERENCES} references, one core, processor seconds, "
        f"value and interval from {RESAMPLES} resamples; median of {RUNS} run(s)",
        "machine": {
            "cpu": cpu(),
            "cores_used": 1,
            "note": "other programs shared the machine",
            "python": platform.python_version(),
            "numpy": np.__version__,
            "sacrebleu": version("sacrebleu"),
            "rouge-score": version("rouge-score"),
            "nltk": version("nltk"),
        },
        "slowest_seconds": round(max(max(times) for times in found.values()), 2),
        "metrics": {
            name: {
                "median_seconds": round(statistics.median(times), 2),
                "seconds": [round(value, 2) for value in times],
                "value": values[name],
            }
            for name, times in found.items()
        },
        "peers": {
            "what": f"{OF_PEERS} examples with {REFERENCES} references; median of {RUNS_OF_PEERS} "
            "runs in turns; sacrebleu with 1000 resamples, rouge-score without an interval",
            **ratios,
        },
    }


def cpu() -> str:
    """The processor's name in /proc/cpuinfo."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )


if __name__ == "__main__":
    main()
