"""Metrics, and the scores that they give: statistics of each example, and a value from their sums.

Shape legend: N examples, K statistics, ``...`` any leading dimensions.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.metrics.tokenization import TOKENIZATIONS

__all__ = ["Better", "FloatArray", "Metric", "Need", "Score"]

FloatArray = NDArray[np.float64]
Need = Literal["sources", "references", "at_limit"]
Better = Literal["higher", "lower", "neither"]

_NEEDS: Final[Mapping[Need, str]] = {
    "sources": "the sources, a text for each output",
    "references": "references, one or more texts for each output",
    "at_limit": "to know which outputs hit the length limit: a field at_limit (true or false) in "
    "JSON Lines, as `warmstart evaluate --outputs` writes it; plain text does not say",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(ABC):
    """A function of sources, outputs and references, in two steps.

    The steps are separate so that a bootstrap over examples, or a paired test of two systems, only
    sums statistics again and never reads a text twice.
    """

    name: str  # in recipes and on the command line
    description: str  # one line
    source: str  # paper or program of the definition
    needs: tuple[Need, ...] = ("references",)  # inputs in addition to outputs
    better: Better = "higher"  # direction of better systems; "neither" only describes
    lowest: float = 0.0
    highest: float = 100.0  # the highest value; inf for rates without a limit
    by_name_only: bool = False  # not among "all": it needs a model that has to be fetched

    tokenizations: ClassVar[tuple[str, ...]] = TOKENIZATIONS  # that a field `tokenize` may name

    def has_option(self, option: str, value: object) -> bool:
        """Whether the metric has a field of that name which may have that value.

        A tokenization of other metrics is not a value of this one's; a name unknown to all metrics
        is, so that it is rejected with an error.
        """
        if all(field.name != option for field in fields(self)):
            return False
        return option != "tokenize" or (value in self.tokenizations or value not in TOKENIZATIONS)

    def missing_input(self, system: SystemOutputs) -> str | None:
        """An input that the metric needs and `system` lacks, as the end of a sentence."""
        for need in self.needs:
            if getattr(system, need) is None:
                return _NEEDS[need]
        return None

    @abstractmethod
    def signature(self, reference_count: str) -> str:
        """A complete description of a figure of this metric.

        Args:
            reference_count: number of references of each example, or ``var`` if it varies.
        """

    def warnings(self, system: SystemOutputs) -> Iterator[str]:
        """Why a figure of these texts may not mean what a reader takes it for; most often nothing.

        Args:
            system: all that the metric needs.

        Yields:
            A sentence each, with what to do about it.
        """
        yield from ()

    @abstractmethod
    def statistics(self, system: SystemOutputs) -> FloatArray:
        """The numbers of each example from which the value is computed.

        Args:
            system: n examples, with all that the metric needs.

        Returns:
            Shape: [N, K].
        """

    @abstractmethod
    def value(self, sums: FloatArray) -> FloatArray:
        """The metric, 0 to 100, from statistics summed over examples.

        Args:
            sums: shape: [..., K].

        Returns:
            Shape: [...].
        """

    def example_values(self, statistics: FloatArray) -> FloatArray:
        """The metric of each example alone, 0 to 100.

        Args:
            statistics: shape: [N, K].

        Returns:
            Shape: [N].
        """
        return self.value(statistics)


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's value over a set of examples.

    >>> print(Score(63.2, (62.812, 63.584), "sari|nrefs:1"))
    63.20 [62.81, 63.58]
    """

    value: float  # 0 to 100
    ci: tuple[float, float] | None  # 95 % bootstrap interval over examples; None for one example
    signature: str  # definition, references, casing, tokens, version: equal if comparable
    # The value of each example alone, 0 to 100, if requested. Their mean need not be `value`, which
    # for many metrics is a ratio of sums.
    per_example: tuple[float, ...] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.ci is None:
            return f"{self.value:.2f}"
        low, high = self.ci
        return f"{self.value:.2f} [{low:.2f}, {high:.2f}]"

    def to_json(self) -> dict[str, object]:
        """The value, interval and signature as plain values for `json.dump`."""
        return {
            "value": self.value,
            "ci": None if self.ci is None else list(self.ci),
            "signature": self.signature,
        }
