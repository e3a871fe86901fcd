"""Length limit: the share of outputs truncated by decoding."""

from dataclasses import dataclass

from warmstart._version import __version__
from warmstart.metrics.metric import Better, FloatArray, Metric, Need
from warmstart.metrics.proportion import share_statistics, share_value
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["LengthLimit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthLimit(Metric):
    """Percentage of outputs that reached the maximum length of decoding before they ended."""

    name: str = "length_limit"
    description: str = "share of outputs that hit the decoding's length limit before they ended"
    source: str = "warmstart"
    needs: tuple[Need, ...] = ("at_limit",)
    better: Better = "lower"

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        return f"{self.name}|warmstart:{__version__}"

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """Whether it hit the limit, and 1 to count examples. Shape: [N, 2]."""
        assert system.at_limit is not None
        return share_statistics(system.at_limit)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return share_value(sums)
