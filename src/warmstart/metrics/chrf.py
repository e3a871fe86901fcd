"""chrF over the corpus: F-score of character n-grams (Popović 2015), sacrebleu's definition."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from warmstart import __version__
from warmstart.metrics.metric import FloatArray, Metric

__all__ = ["Chrf"]

_MAX_ORDER: Final = 6  # n-grams of 1 to 6 characters
_BETA_SQUARED: Final = 4  # recall counts twice as much as precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Chrf(Metric):
    """chrF2 with sacrebleu's defaults: case-sensitive, no word n-grams, white space left out.

    Precision and recall are averaged over the orders that both sides have, then combined. Of
    several references, each example takes the one with the best score of its own.
    Counted here and not by sacrebleu, because that keeps an example's counts to itself.
    """

    name: str = "chrf"
    description: str = "corpus chrF2: F-score of character n-grams"
    lowercase: bool = False

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        case = "lc" if self.lowercase else "mixed"
        return (
            f"chrf|nrefs:{reference_count}|case:{case}|eff:yes|nc:6|nw:0|space:no|"
            f"warmstart:{__version__}"
        )

    def statistics(
        self,
        sources: Sequence[str],
        outputs: Sequence[str],
        references: Sequence[Sequence[str]],
    ) -> FloatArray:
        """For each order: n-grams of the output, of the reference, of both. Shape: [N, 18]."""
        rows: list[FloatArray] = []
        for output, of_example in zip(outputs, references, strict=True):
            in_output = self._ngrams(output)
            candidates = np.array([_counts(in_output, self._ngrams(text)) for text in of_example])
            best = int(np.argmax(self.value(candidates)))  # the first of equals, as in sacrebleu
            rows.append(candidates[best])
        return np.stack(rows)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        counts = sums.reshape(*sums.shape[:-1], _MAX_ORDER, 3)
        output_total, reference_total, hits = np.moveaxis(counts, -1, 0)
        counted = (output_total > 0) & (reference_total > 0)
        orders = np.maximum(counted.sum(axis=-1), 1)
        precision = (np.where(counted, hits, 0) / np.where(counted, output_total, 1)).sum(axis=-1)
        recall = (np.where(counted, hits, 0) / np.where(counted, reference_total, 1)).sum(axis=-1)
        precision, recall = precision / orders, recall / orders
        denominator = _BETA_SQUARED * precision + recall
        f_score = (
            (1 + _BETA_SQUARED) * precision * recall / np.where(denominator > 0, denominator, 1)
        )
        return np.asarray(100 * f_score)

    def _ngrams(self, text: str) -> list[Counter[str]]:
        characters = "".join((text.lower() if self.lowercase else text).split())
        return [
            Counter(
                characters[start : start + order] for start in range(len(characters) - order + 1)
            )
            for order in range(1, _MAX_ORDER + 1)
        ]


def _counts(in_output: list[Counter[str]], in_reference: list[Counter[str]]) -> list[float]:
    counts: list[float] = []
    for of_output, of_reference in zip(in_output, in_reference, strict=True):
        hits = sum(
            min(count, of_reference[ngram])
            for ngram, count in of_output.items()
            if ngram in of_reference
        )
        # As in sacrebleu, an order that the reference is too short for does not count.
        counts += [of_output.total() if of_reference else 0, of_reference.total(), hits]
    return counts
