"""Translation edit rate, as sacrebleu computes it (Snover et al. 2006)."""

import math
from dataclasses import dataclass

import numpy as np

from warmstart.metrics.metric import Better, FloatArray, Metric
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["Ter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ter(Metric):
    """Edits that turn outputs into references, in percent of the references' words.

    An insertion, deletion, substitution or shift of several words is one edit. Of several
    references the nearest counts, over their mean length. An output that is much longer than its
    reference has more than 100 %. The defaults are sacrebleu's: lower-cased, tokens as white space
    separates them.
    """

    name: str = "ter"
    description: str = "translation edit rate: edits in percent of the references' words"
    source: str = "Snover et al. 2006; sacrebleu (Post 2018), its defaults"
    better: Better = "lower"
    highest: float = math.inf
    lowercase: bool = True

    def signature(self, reference_count: str) -> str:
        """The signature that sacrebleu gives, after the metric's name."""
        from sacrebleu import __version__ as version

        case = "lc" if self.lowercase else "mixed"
        return (
            f"{self.name}|nrefs:{reference_count}|case:{case}|tok:tercom|norm:no|punct:yes|"
            f"asian:no|version:{version}"
        )

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """Edits, and words of the references on average. Shape: [N, 2]."""
        from sacrebleu.metrics.ter import TER

        assert system.references is not None
        rate = TER(case_sensitive=not self.lowercase)
        scores = [
            rate.sentence_score(output, list(of_example))
            for output, of_example in zip(system.outputs, system.references, strict=True)
        ]
        return np.array([[s.num_edits, s.ref_length] for s in scores], dtype=np.float64)

    def value(self, sums: FloatArray) -> FloatArray:
        """Edits over words; 100 where there are edits but no words."""
        edits, words = sums[..., 0], sums[..., 1]
        rate = edits / np.where(words > 0, words, 1)
        return np.asarray(100 * np.where(words > 0, rate, edits > 0))
