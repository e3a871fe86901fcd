"""Exact match: the share of outputs that are a reference, word for word."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from warmstart import __version__
from warmstart.metrics.metric import FloatArray, Metric

__all__ = ["ExactMatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMatch(Metric):
    """Percentage of outputs equal to one of their references.

    White space at the ends, and how much of it stands between words, makes no difference.
    """

    name: str = "exact_match"
    description: str = "share of outputs that equal a reference"
    lowercase: bool = False  # the paper's figures are case-sensitive

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        case = "lc" if self.lowercase else "mixed"
        return f"exact_match|nrefs:{reference_count}|case:{case}|tok:none|warmstart:{__version__}"

    def statistics(
        self,
        sources: Sequence[str],
        outputs: Sequence[str],
        references: Sequence[Sequence[str]],
    ) -> FloatArray:
        """Whether it matches, and 1 to count examples. Shape: [N, 2]."""
        matches = [
            any(self._words(output) == self._words(reference) for reference in of_example)
            for output, of_example in zip(outputs, references, strict=True)
        ]
        return np.stack([np.array(matches, dtype=np.float64), np.ones(len(matches))], axis=-1)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return np.asarray(100 * sums[..., 0] / sums[..., 1])

    def _words(self, text: str) -> list[str]:
        return (text.lower() if self.lowercase else text).split()
