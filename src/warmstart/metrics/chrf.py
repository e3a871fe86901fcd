"""chrF and chrF++ over the corpus (Popović 2015, 2017), sacrebleu's definition."""

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import numpy as np

from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.ngrams import IntArray, NgramTable, character_tables, word_tables
from warmstart.metrics.system_outputs import SystemOutputs

__all__ = ["Chrf"]

_MAX_ORDER: Final = 6  # n-grams of 1 to 6 characters
_COUNTS: Final = 3  # of an order: n-grams of the output, of the reference, of both
_BETA_SQUARED: Final = 4  # recall counts twice as much as precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Chrf(Metric):
    """chrF2 with sacrebleu's defaults: case-sensitive, no word n-grams, without white space.

    With `word_order` 2 it is chrF++: n-grams of one and two words count as well, punctuation at
    either end of a word as a word of its own.

    Precision and recall are averaged over the orders that both sides have, then combined. Of
    several references, each example takes the one with the best score of its own.
    Counted here, as sacrebleu does not expose the counts of an example and is slower; the figures
    are the same.
    """

    name: str = "chrf"
    description: str = "chrF2 over the corpus: F-score of character n-grams"
    source: str = "Popović 2015; sacrebleu (Post 2018), its defaults"
    lowercase: bool = False
    word_order: int = 0  # words, 0 or more

    def signature(self, reference_count: str) -> str:
        """Sacrebleu's signature, after the metric's name."""
        case = "lc" if self.lowercase else "mixed"
        return (
            f"{self.name}|nrefs:{reference_count}|case:{case}|eff:yes|nc:6|nw:{self.word_order}|space:no|"
            f"version:{version('sacrebleu')}"
        )

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """For each order: n-grams of the output, of the reference, of both. Shape: [N, K]."""
        assert system.references is not None
        texts = [
            [output, *of_example]
            for output, of_example in zip(system.outputs, system.references, strict=True)
        ]
        characters = (list(map(self._characters, of_example)) for of_example in texts)
        blocks: Iterable[FloatArray] = map(_counts, character_tables(characters, _MAX_ORDER))
        if self.word_order:
            words = (list(map(self._words, of_example)) for of_example in texts)
            by_words = map(_counts, word_tables(words, self.word_order))
            blocks = [np.concatenate([_joined(blocks), _joined(by_words)], axis=-1)]
        rows: list[FloatArray] = []
        for counts_ERK in blocks:
            # An empty text in place of a missing reference scores 0, and the first of equal
            # references is taken, as in sacrebleu.
            best_E = self.value(counts_ERK).argmax(axis=1)
            rows.append(counts_ERK[np.arange(len(best_E)), best_E])
        return np.concatenate(rows)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        counts = sums.reshape(*sums.shape[:-1], -1, _COUNTS)
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

    def _words(self, text: str) -> list[str]:
        """Words, with one mark at the end or else at the beginning of each as a word of its own."""
        words: list[str] = []
        for word in (text.lower() if self.lowercase else text).split():
            if len(word) > 1 and word[-1] in string.punctuation:
                words += [word[:-1], word[-1]]
            elif len(word) > 1 and word[0] in string.punctuation:
                words += [word[0], word[1:]]
            else:
                words.append(word)
        return words


def _counts(tables: Sequence[NgramTable]) -> FloatArray:
    """Statistics against every reference. Shape: [E, R, 3 * orders]."""
    columns: list[IntArray] = []
    for table in tables:
        totals_ES = table.totals_ES
        references_ER = totals_ES[:, 1:]
        hits_ER = table.by_example(np.minimum(table.counts_MS[:, :1], table.counts_MS[:, 1:]))
        # As in sacrebleu, an order longer than the reference does not count.
        outputs_ER = np.where(references_ER > 0, totals_ES[:, :1], 0)
        columns += [outputs_ER, references_ER, hits_ER]
    return np.stack(columns, axis=-1).astype(np.float64)


def _joined(blocks: Iterable[FloatArray]) -> FloatArray:
    """Blocks of examples with different numbers of references as one. Shape: [N, R, K]."""
    whole = list(blocks)
    most = max(block.shape[1] for block in whole)
    return np.concatenate(
        [np.pad(block, ((0, 0), (0, most - block.shape[1]), (0, 0))) for block in whole]
    )
