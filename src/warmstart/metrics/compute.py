"""A metric's value and its confidence interval: the one way from texts to a `Score`."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from warmstart.errors import UsageError
from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.score import Score

__all__ = ["compute"]

_RESAMPLES: Final = 1000
_SEED: Final = 12345  # fixed: the same outputs give the same interval
_BLOCK_ELEMENTS: Final = 4_000_000  # draws held at once, 32 MB as int64


def compute(
    metric: Metric,
    sources: Sequence[str],
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
) -> Score:
    """Scores outputs against references.

    The interval is the percentile bootstrap of Koehn (2004, "Statistical significance tests for
    machine translation evaluation"): examples are drawn with replacement 1000 times.

    Args:
        metric: Which metric, with its options.
        sources: N source texts. Only SARI looks at them.
        outputs: N generated texts.
        references: For each of the N examples, one or more reference texts.

    Raises:
        UsageError: The three differ in length, are empty, or an example has no reference.
    """
    reference_count = _check(metric, sources, outputs, references)
    statistics_NK = metric.statistics(sources, outputs, references)
    return Score(
        value=float(metric.value(statistics_NK.sum(axis=0))),
        ci=_confidence_interval(metric, statistics_NK),
        signature=metric.signature(reference_count),
    )


def _check(
    metric: Metric,
    sources: Sequence[str],
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
) -> str:
    """Refuses what cannot be scored; returns the number of references as signatures write it."""
    if not len(sources) == len(outputs) == len(references):
        raise UsageError(
            f"{metric.name} was given {len(sources)} sources, {len(outputs)} outputs and "
            f"{len(references)} lists of references; it needs one of each for every example."
        )
    if not outputs:
        raise UsageError(f"{metric.name} was given no examples; it needs at least one.")
    for number, of_example in enumerate(references, start=1):
        if isinstance(of_example, str) or not of_example:
            given = "a single text" if isinstance(of_example, str) else "no reference"
            raise UsageError(
                f"{metric.name} was given {given} as the references of example {number}; "
                "give a list with one or more texts."
            )
    counts = {len(of_example) for of_example in references}
    return str(counts.pop()) if len(counts) == 1 else "var"


def _confidence_interval(metric: Metric, statistics_NK: FloatArray) -> tuple[float, float] | None:
    """The middle 95 % of the values of resampled test sets."""
    examples = len(statistics_NK)
    if examples < 2:
        return None  # every resample is the one example
    generator = np.random.default_rng(_SEED)
    values: list[FloatArray] = []
    block = max(1, _BLOCK_ELEMENTS // examples)
    for start in range(0, _RESAMPLES, block):
        rows = min(block, _RESAMPLES - start)
        drawn_RN = generator.integers(examples, size=(rows, examples))
        # How often each example was drawn: multinomial weights, so that a resample is a product.
        weights_RN = np.stack([np.bincount(drawn_N, minlength=examples) for drawn_N in drawn_RN])
        values.append(metric.value(weights_RN @ statistics_NK))
    low, high = np.percentile(np.concatenate(values), [2.5, 97.5])
    return float(low), float(high)
