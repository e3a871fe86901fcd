"""A metric's value and its confidence interval: the one way from texts to a `Score`."""

from collections.abc import Sequence

import numpy as np

from warmstart.errors import UsageError
from warmstart.metrics.bootstrap import corpus_value, interval, resampled_values
from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.score import Score
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["compute", "lacks", "score_system", "system_statistics"]

_TO_HAVE = {
    "sources": "the sources, a text for each output",
    "references": "references, one or more texts for each output",
    "at_limit": "to know which outputs hit the length limit: a field at_limit (true or false) in "
    "JSON Lines, as `warmstart evaluate --outputs` writes it; plain text does not tell",
}


def compute(
    metric: Metric,
    sources: Sequence[str] | None,
    outputs: Sequence[str],
    references: Sequence[Sequence[str]] | None,
    *,
    at_limit: Sequence[bool] | None = None,
    per_example: bool = False,
) -> Score:
    """Scores outputs against references.

    The interval is the percentile bootstrap of Koehn (2004, "Statistical significance tests for
    machine translation evaluation"): examples are drawn with replacement 1000 times.

    Args:
        metric: Which metric, with its options.
        sources: N source texts; None if the metric needs none.
        outputs: N generated texts.
        references: For each of the N examples, one or more reference texts; None if the metric
            needs none.
        at_limit: Whether each output hit the length limit, for the metric that counts them.
        per_example: Whether to give each example's value, too.

    Raises:
        UsageError: The lists differ in length, are empty, lack what the metric needs, or an
            example has no reference.
    """
    system = SystemOutputs(
        outputs=outputs, references=references, sources=sources, at_limit=at_limit
    )
    return score_system(metric, system, per_example=per_example)


def score_system(metric: Metric, system: SystemOutputs, *, per_example: bool = False) -> Score:
    """As `compute`, of texts that belong together already.

    Raises:
        UsageError: They lack what the metric needs.
    """
    statistics_NK = system_statistics(metric, system)
    value = corpus_value(metric, statistics_NK)
    ci = None  # of one example, every resample is the one
    if len(system) > 1:
        (values_R,) = resampled_values(metric, statistics_NK)
        ci = interval(values_R, value)
    values = np.clip(metric.example_values(statistics_NK), 0, 100) if per_example else None
    return Score(
        value=value,
        ci=ci,
        signature=metric.signature(system.reference_count),
        per_example=None if values is None else tuple(values.tolist()),
    )


def system_statistics(metric: Metric, system: SystemOutputs) -> FloatArray:
    """The statistics of each example. Shape: [N, K].

    Raises:
        UsageError: The texts lack what the metric needs.
    """
    missing = lacks(metric, system)
    if missing is not None:
        raise UsageError(f"{metric.name} needs {missing}.")
    return metric.statistics(system)


def lacks(metric: Metric, system: SystemOutputs) -> str | None:
    """What the metric needs and was not given, as the end of a sentence; None if nothing."""
    for need in metric.needs:
        if getattr(system, need) is None:
            return _TO_HAVE[need]
    return None
