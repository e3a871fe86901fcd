"""SARI for simplification papers: EASSE's definition, over the corpus.

Alva-Manchego et al. (2019), "EASSE: Easier Automatic Sentence Simplification Evaluation".
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from warmstart import __version__
from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.tokens import check_tokenization, text_signature, token_splitter

__all__ = ["SariEasse"]

MAX_ORDER: Final = 4  # n-grams of 1 to 4 tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class SariEasse(Metric):
    """Corpus SARI: counts are summed over sentences before any ratio is taken.

    For each n of 1 to 4, with n-gram *counts* c of source, output and the r references together
    (EASSE's ``corpus_sari`` with its default options):

    - add: the sets of n-grams that are not in the source, of the output against any reference;
    - keep: min(r c_source, r c_output) against min(r c_source, c_references), hits their minimum;
    - delete: r c_source - r c_output against r c_source - c_references, where positive, hits
      their minimum.

    Each of the three gives an F1, deletion too, and a precision or recall with nothing to count
    is 0. SARI is the mean over the three and the four n. A corpus in which nothing should be
    added or deleted therefore cannot reach 100.

    The defaults are EASSE's: lower-cased, 13a tokens.
    """

    name: str = "sari_easse"
    description: str = "SARI, EASSE's definition: over the corpus, deletion by F1, lower-cased, 13a"
    lowercase: bool = True
    tokenize: str = "13a"  # one of `tokens.TOKENIZATIONS`
    tokenize_source: bool = True  # False as in EASSE's `legacy`, which older papers report

    def __post_init__(self) -> None:
        check_tokenization(self.name, self.tokenize)

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        text = text_signature(lowercase=self.lowercase, tokenize=self.tokenize)
        source = "" if self.tokenize_source else "|source-tok:none"
        return (
            f"sari_easse|def:easse|nrefs:{reference_count}|{text}{source}|del:f1|"
            f"warmstart:{__version__}"
        )

    def statistics(
        self,
        sources: Sequence[str],
        outputs: Sequence[str],
        references: Sequence[Sequence[str]],
    ) -> FloatArray:
        """By operation and order: hits, total of the output, total of the references.

        Shape: [N, 36], that is [N, 3 operations * 4 orders * 3 counts].
        """
        split = token_splitter(lowercase=self.lowercase, tokenize=self.tokenize)
        split_source = token_splitter(
            lowercase=self.lowercase, tokenize=self.tokenize if self.tokenize_source else "none"
        )
        rows = [
            _counts(split_source(source), split(output), [split(text) for text in of_example])
            for source, output, of_example in zip(sources, outputs, references, strict=True)
        ]
        return np.array(rows, dtype=np.float64).reshape(len(rows), -1)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        counts = sums.reshape(*sums.shape[:-1], -1, 3)
        hits, output_total, reference_total = np.moveaxis(counts, -1, 0)
        # 2 p r / (p + r) with p and r written out; 0 where there is nothing to count.
        totals = output_total + reference_total
        return np.asarray(100 * np.mean(2 * hits / np.where(totals > 0, totals, 1), axis=-1))


def _counts(
    source: list[str], output: list[str], references: list[list[str]]
) -> list[tuple[int, int, int]]:
    """For each order: additions, keeps, deletions."""
    rows: list[tuple[int, int, int]] = []
    for order in range(1, MAX_ORDER + 1):
        in_source = _ngrams(source, order)
        in_output = _ngrams(output, order)
        in_references: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            in_references.update(_ngrams(reference, order))
        rows += _order_counts(in_source, in_output, in_references, len(references))
    return rows


def _ngrams(tokens: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def _order_counts(
    in_source: Counter[tuple[str, ...]],
    in_output: Counter[tuple[str, ...]],
    in_references: Counter[tuple[str, ...]],
    reference_count: int,
) -> list[tuple[int, int, int]]:
    added = in_output.keys() - in_source.keys()
    to_add = in_references.keys() - in_source.keys()
    keep_hits = kept = to_keep = delete_hits = deleted = to_delete = 0
    # Keeps and deletions are all of the source's own n-grams.
    for ngram, count in in_source.items():
        source_weight = reference_count * count
        output_weight = reference_count * in_output[ngram]
        keep = min(source_weight, output_weight)
        should_keep = min(source_weight, in_references[ngram])
        kept += keep
        to_keep += should_keep
        keep_hits += min(keep, should_keep)
        deleted += source_weight - keep
        to_delete += source_weight - should_keep
        delete_hits += source_weight - max(keep, should_keep)
    return [
        (len(added & to_add), len(added), len(to_add)),
        (keep_hits, kept, to_keep),
        (delete_hits, deleted, to_delete),
    ]
