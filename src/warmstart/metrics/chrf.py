"""chrF over the corpus: F-score of character n-grams (Popović 2015), sacrebleu's definition."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import numpy as np

from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.ngrams import IntArray, NgramTable, character_tables
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["Chrf"]

_MAX_ORDER: Final = 6  # n-grams of 1 to 6 characters
_BETA_SQUARED: Final = 4  # recall counts twice as much as precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Chrf(Metric):
    """chrF2 with sacrebleu's defaults: case-sensitive, no word n-grams, white space left out.

    Precision and recall are averaged over the orders that both sides have, then combined. Of
    several references, each example takes the one with the best score of its own.
    Counted here and not by sacrebleu, because that keeps an example's counts to itself and takes
    longer; the figures are the same.
    """

    name: str = "chrf"
    description: str = "chrF2 over the corpus: F-score of character n-grams"
    source: str = "Popović 2015; sacrebleu (Post 2018), its defaults"
    lowercase: bool = False

    def signature(self, reference_count: str) -> str:
        """The signature that sacrebleu gives, behind the metric's name."""
        case = "lc" if self.lowercase else "mixed"
        return (
            f"{self.name}|nrefs:{reference_count}|case:{case}|eff:yes|nc:6|nw:0|space:no|"
            f"version:{version('sacrebleu')}"
        )

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """For each order: n-grams of the output, of the reference, of both. Shape: [N, 18]."""
        assert system.references is not None
        examples = (
            [self._characters(output), *map(self._characters, of_example)]
            for output, of_example in zip(system.outputs, system.references, strict=True)
        )
        rows: list[FloatArray] = []
        for tables in character_tables(examples, _MAX_ORDER):
            counts_ERK = _counts(tables)
            # A text of no characters in the place of an absent reference scores 0, and of equals
            # the first is taken, as in sacrebleu.
            best_E = self.value(counts_ERK).argmax(axis=1)
            rows.append(counts_ERK[np.arange(len(best_E)), best_E])
        return np.concatenate(rows)

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

    def _characters(self, text: str) -> str:
        return "".join((text.lower() if self.lowercase else text).split())


def _counts(tables: Sequence[NgramTable]) -> FloatArray:
    """Statistics against every reference. Shape: [E, R, 18]."""
    columns: list[IntArray] = []
    for table in tables:
        totals_ES = table.totals_ES
        references_ER = totals_ES[:, 1:]
        hits_ER = table.by_example(np.minimum(table.counts_MS[:, :1], table.counts_MS[:, 1:]))
        # As in sacrebleu, an order that the reference is too short for does not count.
        outputs_ER = np.where(references_ER > 0, totals_ES[:, :1], 0)
        columns += [outputs_ER, references_ER, hits_ER]
    return np.stack(columns, axis=-1).astype(np.float64)
