"""Copy rate: the share of outputs that are their source, word for word."""

from dataclasses import dataclass

from warmstart._version import __version__
from warmstart.metrics.metric import Better, FloatArray, Metric, Need
from warmstart.metrics.proportion import share_statistics, share_value
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["CopyRate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRate(Metric):
    """Percentage of outputs equal to their source.

    White space at the ends, and the amount of it between words, is ignored.
    """

    name: str = "copy_rate"
    description: str = "share of outputs that equal their source, but for white space"
    source: str = "EASSE (Alva-Manchego et al. 2019), exact copies; warmstart"
    needs: tuple[Need, ...] = ("sources",)
    better: Better = "neither"
    lowercase: bool = False

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        case = "lc" if self.lowercase else "mixed"
        return f"copy_rate|case:{case}|tok:none|warmstart:{__version__}"

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """Whether it is a copy, and 1 to count examples. Shape: [N, 2]."""
        assert system.sources is not None
        return share_statistics(
            self._words(output) == self._words(source)
            for output, source in zip(system.outputs, system.sources, strict=True)
        )

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return share_value(sums)

    def _words(self, text: str) -> list[str]:
        return (text.lower() if self.lowercase else text).split()
