"""Exact match: the share of outputs that are a reference, word for word."""

from dataclasses import dataclass

from warmstart._version import __version__
from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.proportion import share_statistics, share_value
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["ExactMatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMatch(Metric):
    """Percentage of outputs equal to one of their references.

    White space at the ends, and the amount of it between words, is ignored.
    """

    name: str = "exact_match"
    description: str = "share of outputs that equal a reference, but for white space"
    source: str = "Rothe et al. 2020, section 4; warmstart"
    lowercase: bool = False  # the paper's figures are case-sensitive

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        case = "lc" if self.lowercase else "mixed"
        return f"exact_match|nrefs:{reference_count}|case:{case}|tok:none|warmstart:{__version__}"

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """Whether it matches, and 1 to count examples. Shape: [N, 2]."""
        assert system.references is not None
        return share_statistics(
            any(self._words(output) == self._words(reference) for reference in of_example)
            for output, of_example in zip(system.outputs, system.references, strict=True)
        )

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return share_value(sums)

    def _words(self, text: str) -> list[str]:
        return (text.lower() if self.lowercase else text).split()
