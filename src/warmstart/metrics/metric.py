"""What a metric is: numbers for each example, and a value from their sums.

Shape legend: N examples, K statistics, ``...`` any leading dimensions.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["Better", "FloatArray", "Metric", "Need"]

FloatArray = NDArray[np.float64]
Need = Literal["sources", "references", "at_limit"]
Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(ABC):
    """A function of sources, outputs and references, in two steps.

    The steps are apart so that a bootstrap over examples, or a paired test of two systems, only
    has to sum statistics again and never reads a text twice.
    """

    name: str  # what recipes and the command line call it
    description: str  # one line
    source: str  # the paper or program whose definition it is
    needs: tuple[Need, ...] = ("references",)  # besides outputs
    better: Better = "higher"  # what a better system has more of; "neither" only describes

    @abstractmethod
    def signature(self, reference_count: str) -> str:
        """Says what a figure of this metric means.

        Args:
            reference_count: References of each example, as a number, or ``var`` if it varies.
        """

    @abstractmethod
    def statistics(self, system: SystemOutputs) -> FloatArray:
        """The numbers of each example that the value is made of.

        Args:
            system: N examples, with all that the metric needs.

        Returns:
            Shape: [N, K].
        """

    @abstractmethod
    def value(self, sums: FloatArray) -> FloatArray:
        """The metric, 0 to 100, from statistics summed over examples.

        Args:
            sums: Shape: [..., K].

        Returns:
            Shape: [...].
        """

    def example_values(self, statistics: FloatArray) -> FloatArray:
        """The metric of each example alone, 0 to 100.

        Args:
            statistics: Shape: [N, K].

        Returns:
            Shape: [N].
        """
        return self.value(statistics)
