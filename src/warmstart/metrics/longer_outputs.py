"""Longer outputs: the share that is longer than the references."""

from dataclasses import dataclass

from warmstart._version import __version__
from warmstart.metrics.length_ratio import LengthRatio
from warmstart.metrics.metric import Better, FloatArray, Metric
from warmstart.metrics.proportion import mean_statistics, share_value
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.metrics.tokenization import check_tokenization, text_signature

__all__ = ["LongerOutputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LongerOutputs(Metric):
    """Percentage of outputs with more tokens than their references have on average."""

    name: str = "longer_outputs"
    description: str = "share of outputs with more tokens than their references on average; 13a"
    source: str = "warmstart"
    better: Better = "neither"
    tokenize: str = "13a"  # one of `TOKENIZATIONS`

    def __post_init__(self) -> None:
        check_tokenization(self.name, self.tokenize)

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        text = text_signature(lowercase=False, tokenize=self.tokenize)
        return f"{self.name}|nrefs:{reference_count}|{text}|warmstart:{__version__}"

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """Whether it is longer, and 1 to count examples. Shape: [N, 2]."""
        lengths = LengthRatio(tokenize=self.tokenize).statistics(system)
        return mean_statistics((lengths[:, 0] > lengths[:, 1]).astype(float))

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return share_value(sums)
