"""A metric on texts given as lists, by the function that every score comes from."""

from collections.abc import Sequence

from warmstart.evaluation.score import score
from warmstart.metrics.metric import Metric, Score
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["scored"]


def scored(
    metric: Metric,
    sources: Sequence[str] | None,
    outputs: Sequence[str],
    references: Sequence[Sequence[str]] | None,
    *,
    at_limit: Sequence[bool] | None = None,
    per_example: bool = False,
) -> Score:
    """The score of outputs by one metric."""
    system = SystemOutputs(
        outputs=outputs, references=references, sources=sources, at_limit=at_limit
    )
    return score(system, [metric], per_example=per_example)[metric.name]
