"""Scores and their confidence intervals, from resampled test sets.

Shape legend: N examples, K statistics, R resamples.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from warmstart.errors import UsageError
from warmstart.metrics.metric import FloatArray, Metric, Score
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = [
    "BLOCK_ELEMENTS",
    "RESAMPLES",
    "SEED",
    "corpus_score",
    "corpus_value",
    "interval",
    "resampled_values",
    "system_statistics",
]

RESAMPLES: Final = 1000
SEED: Final = 12345  # fixed: the same outputs give the same interval
BLOCK_ELEMENTS: Final = 4_000_000  # numbers held at once, 32 MB as int64


def corpus_score(metric: Metric, system: SystemOutputs, *, per_example: bool = False) -> Score:
    """The metric over all examples, with its interval.

    The interval is the percentile bootstrap of Koehn (2004, "Statistical significance tests for
    machine translation evaluation"): examples are drawn with replacement `RESAMPLES` times.

    Args:
        metric: the metric, with its options.
        system: the texts.
        per_example: whether to give each example's value, too.

    Raises:
        UsageError: if the texts lack an input of the metric.
    """
    statistics_NK = system_statistics(metric, system)
    value = corpus_value(metric, statistics_NK)
    ci = None  # of one example, every resample is the one
    if len(system) > 1:
        (values_R,) = resampled_values(metric, statistics_NK)
        ci = interval(values_R, value)
    values = None
    if per_example:
        values = np.clip(metric.example_values(statistics_NK), metric.lowest, metric.highest)
    return Score(
        value=value,
        ci=ci,
        signature=metric.signature(system.reference_count),
        per_example=None if values is None else tuple(values.tolist()),
    )


def system_statistics(metric: Metric, system: SystemOutputs) -> FloatArray:
    """The statistics of each example. Shape: [N, K].

    Raises:
        UsageError: if the texts lack an input of the metric.
    """
    missing = metric.missing_input(system)
    if missing is not None:
        raise UsageError(f"{metric.name} needs {missing}.")
    return metric.statistics(system)


def corpus_value(metric: Metric, statistics_NK: FloatArray) -> float:
    """The metric over all examples, whatever their order."""
    # Exact sums: floating-point addition alone would depend on the order.
    sums_K = np.array([math.fsum(column) for column in statistics_NK.T.tolist()])
    return float(np.clip(metric.value(sums_K), metric.lowest, metric.highest))


def resampled_values(metric: Metric, *systems_NK: FloatArray) -> list[FloatArray]:
    """The metric on `RESAMPLES` test sets, drawn with replacement from the examples.

    Args:
        metric: whose statistics they are.
        *systems_NK: statistics of one system or of several, on the same examples. All are
            evaluated on the same draws.

    Returns:
        For each system its values. Shape: [R].
    """
    values: list[list[FloatArray]] = [[] for _ in systems_NK]
    for weights_RN in _weights(len(systems_NK[0])):
        for of_system, statistics_NK in zip(values, systems_NK, strict=True):
            of_system.append(
                np.clip(metric.value(weights_RN @ statistics_NK), metric.lowest, metric.highest)
            )
    return [np.concatenate(of_system) for of_system in values]


def interval(values_R: FloatArray, value: float) -> tuple[float, float]:
    """The middle 95 % of resampled values, widened if it must be to hold the value itself.

    It must where few examples decide: a resample without them cannot reach the value.
    """
    low, high = np.percentile(values_R, [2.5, 97.5])
    return min(float(low), value), max(float(high), value)


def _weights(examples: int) -> Iterator[FloatArray]:
    """How often each example was drawn, so that a resample's sums are a product. Shape: [R, N]."""
    generator = np.random.default_rng(SEED)
    block = max(1, BLOCK_ELEMENTS // examples)
    for start in range(0, RESAMPLES, block):
        rows = min(block, RESAMPLES - start)
        drawn_RN = generator.integers(examples, size=(rows, examples))
        drawn_RN += np.arange(rows)[:, None] * examples
        counts = np.bincount(drawn_RN.ravel(), minlength=rows * examples)
        yield counts.reshape(rows, examples).astype(np.float64)
