"""Length and number of sentences of simplified texts against their sources, as EASSE reports them.

Alva-Manchego et al. (2019), "EASSE: Easier Automatic Sentence Simplification Evaluation", section
3.4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from warmstart._version import __version__
from warmstart.metrics.metric import Better, FloatArray, Metric, Need
from warmstart.metrics.proportion import mean_statistics, share_value
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.text.sentences import sentence_ends

__all__ = ["SimplificationRatio"]


def _sentences(text: str) -> int:
    return sum(1 for _ in sentence_ends(text)) + 1


_MEASURES: Final[dict[str, Callable[[str], int]]] = {"characters": len, "sentences": _sentences}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimplificationRatio(Metric):
    """Mean over examples of an output's measure in percent of its source's.

    Sentences end by rule (`text.sentences`), where EASSE has NLTK's Punkt. An empty source counts
    as one character.
    """

    needs: tuple[Need, ...] = ("sources",)
    better: Better = "neither"
    highest: float = math.inf
    measure: Literal["characters", "sentences"]

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        return f"{self.name}|def:easse|{self.measure}|warmstart:{__version__}"

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """The ratio, and 1 to count examples. Shape: [N, 2]."""
        assert system.sources is not None
        count = _MEASURES[self.measure]
        ratios = [
            count(output) / max(count(source), 1)
            for source, output in zip(system.sources, system.outputs, strict=True)
        ]
        return mean_statistics(np.array(ratios, dtype=np.float64))

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return share_value(sums)
