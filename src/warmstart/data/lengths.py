"""Lengths of texts in tokens, and the losses of truncation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PERCENTILES", "LengthCounts", "Lengths"]

PERCENTILES: Final = (5, 25, 50, 75, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """The lengths of some texts, before truncation.

    Attributes:
        count: number of texts.
        total: sum of their lengths, in tokens, words or characters.
        percentiles: percent p -> the length that p percent of the texts do not exceed.
        longest: length of the longest text.
        limit: longer texts are truncated to it; None: no truncation.
        truncated: number of truncated texts.
        lost: sum of the lengths cut off.
    """

    count: int
    total: int
    percentiles: Mapping[int, int] = field(hash=False)
    longest: int
    limit: int | None = None
    truncated: int = 0
    lost: int = 0

    @property
    def mean(self) -> float:
        """The mean length."""
        return self.total / self.count if self.count else 0.0

    @property
    def lost_share(self) -> float:
        """The share of all tokens that is cut off, 0 to 1."""
        return self.lost / self.total if self.total else 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `from_json` reads them back."""
        percentiles = {str(percent): length for percent, length in self.percentiles.items()}
        return {
            **asdict(self),
            "percentiles": percentiles,
            "mean": round(self.mean, 2),
            "lost_share": round(self.lost_share, 6),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Lengths":
        """Reads values of `to_json`."""
        names = ("count", "total", "longest", "limit", "truncated", "lost")
        percentiles = {int(key): length for key, length in values["percentiles"].items()}
        return cls(percentiles=percentiles, **{name: values[name] for name in names})


class LengthCounts:
    """Counts lengths in memory that depends on the longest only."""

    def __init__(self, limit: int | None = None) -> None:
        import numpy

        self._limit = limit
        self._histogram: NDArray[numpy.int64] = numpy.zeros(1, numpy.int64)

    def add(self, lengths: Sequence[int]) -> None:
        """Adds lengths of some texts, before truncation."""
        import numpy

        if not len(lengths):
            return
        counts = numpy.bincount(numpy.asarray(lengths, numpy.int64))
        if len(counts) > len(self._histogram):
            self._histogram.resize(len(counts), refcheck=False)
        self._histogram[: len(counts)] += counts

    def lengths(self) -> Lengths:
        """Statistics of all lengths added."""
        import numpy

        values = numpy.arange(len(self._histogram))
        cumulative = self._histogram.cumsum()
        count = int(cumulative[-1])
        ranks = [-(-count * percent // 100) for percent in PERCENTILES]  # nearest rank
        found = cumulative.searchsorted(numpy.maximum(ranks, 1)).tolist() if count else []
        over = values[self._limit + 1 :] if self._limit is not None else values[:0]
        long = self._histogram[len(values) - len(over) :]
        return Lengths(
            count=count,
            total=int((values * self._histogram).sum()),
            percentiles=dict(zip(PERCENTILES, found, strict=bool(count))),
            longest=len(self._histogram) - 1,
            limit=self._limit,
            truncated=int(long.sum()),
            lost=int(((over - (self._limit or 0)) * long).sum()),
        )
