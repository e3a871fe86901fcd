"""What a metric is: numbers for each example, and a value from their sums.

Shape legend: N examples, K statistics, ``...`` any leading dimensions.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FloatArray", "Metric"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(ABC):
    """A function of (sources, outputs, references), in two steps.

    The steps are apart so that a bootstrap over examples, or a paired test of two systems, only
    has to sum statistics again and never reads a text twice.
    """

    name: str  # what recipes and the command line call it
    description: str  # one line

    @abstractmethod
    def signature(self, reference_count: str) -> str:
        """Says what a figure of this metric means.

        Args:
            reference_count: References of each example, as a number, or ``var`` if it varies.
        """

    @abstractmethod
    def statistics(
        self,
        sources: Sequence[str],
        outputs: Sequence[str],
        references: Sequence[Sequence[str]],
    ) -> FloatArray:
        """The numbers of each example that the value is made of.

        Args:
            sources: N source texts.
            outputs: N generated texts.
            references: For each of the N examples, one or more reference texts.

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
