"""Scores of each example by another program, such as a neural metric that runs elsewhere."""

import math
from dataclasses import dataclass

import numpy as np

from warmstart.metrics.metric import FloatArray, Metric, Need
from warmstart.metrics.proportion import mean_statistics
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["GivenScores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenScores(Metric):
    """The mean of scores that another program gave, on that program's own scale."""

    description: str = "mean of the scores of another program"
    source: str = "a file of scores"
    needs: tuple[Need, ...] = ()
    lowest: float = -math.inf
    highest: float = math.inf

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        return f"{self.name}|scores:given"

    def missing_input(self, system: SystemOutputs) -> str | None:
        """See `Metric.missing_input`."""
        if self.name in system.scores:
            return None
        return f"scores of each output; give --scores {self.name}=FILE"

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """The score, and 1 to count examples. Shape: [N, 2]."""
        return mean_statistics(np.asarray(system.scores[self.name], dtype=np.float64))

    def value(self, sums: FloatArray) -> FloatArray:
        """The mean."""
        return np.asarray(sums[..., 0] / sums[..., 1])
