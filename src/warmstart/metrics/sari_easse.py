"""SARI for simplification papers: EASSE's definition, over the corpus.

Alva-Manchego et al. (2019), "EASSE: Easier Automatic Sentence Simplification Evaluation".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from warmstart._version import __version__
from warmstart.metrics.metric import FloatArray, Metric, Need
from warmstart.metrics.ngrams import IntArray, NgramTable, word_tables
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.metrics.text_warnings import unspaced_texts
from warmstart.metrics.tokenization import (
    check_tokenization,
    split_examples,
    text_signature,
    token_splitter,
)

__all__ = ["SariEasse"]

_MAX_ORDER: Final = 4  # n-grams of 1 to 4 tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class SariEasse(Metric):
    """Corpus SARI: counts are summed over sentences before ratios are taken.

    For each n of 1 to 4, with n-gram *counts* c of source, output and the r references together
    (EASSE's ``corpus_sari`` with its default options):

    - add: the sets of n-grams that are not in the source, of the output against any reference;
    - keep: min(r c_source, r c_output) against min(r c_source, c_references), hits their minimum;
    - delete: r c_source - r c_output against r c_source - c_references, where positive, hits
      their minimum.

    Each of the three gives an F1, deletion too, and a precision or recall with nothing to count
    is 0. SARI is the mean over the three and the four n. A corpus in which nothing should be
    added or deleted therefore cannot reach 100.

    The defaults are EASSE's: lower-cased, 13a tokens. `legacy` is EASSE's option of that name,
    which older papers report: the source is taken as it is, and nothing is lower-cased.
    """

    name: str = "sari_easse"
    description: str = "SARI, EASSE's definition: over the corpus, deletion by F1, lower-cased, 13a"
    source: str = "Xu et al. 2016; EASSE (Alva-Manchego et al. 2019), its defaults"
    needs: tuple[Need, ...] = ("sources", "references")
    lowercase: bool = True
    tokenize: str = "13a"  # one of `TOKENIZATIONS`
    legacy: bool = False
    deletion: Literal["f1", "precision"] = "f1"
    level: Literal["corpus", "sentence"] = "corpus"  # "sentence" is the mean over sentences

    def __post_init__(self) -> None:
        check_tokenization(self.name, self.tokenize)

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        text = text_signature(lowercase=self.lowercase, tokenize=self.tokenize)
        source = "|source-tok:none" if self.legacy else ""
        return (
            f"{self.name}|def:easse|level:{self.level}|nrefs:{reference_count}|{text}{source}|"
            f"del:{self.deletion}|warmstart:{__version__}"
        )

    def warnings(self, system: SystemOutputs) -> Iterator[str]:
        """See `Metric.warnings`."""
        yield from unspaced_texts(system, self.name, self.tokenize)

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """By order and operation: hits, total of the output, total of the references.

        Shape: [N, 36], that is [N, 4 orders * 3 operations * 3 counts]; for the sentence level
        [N, 2]: the sentence's SARI, and 1 to count sentences.
        """
        assert system.references is not None
        split = token_splitter(lowercase=self.lowercase, tokenize=self.tokenize)
        split_source = (
            token_splitter(lowercase=self.lowercase, tokenize="none") if self.legacy else split
        )
        examples = split_examples(system, split, split_source)
        counted_N = np.array([len(of_example) for of_example in system.references])
        blocks = [
            np.concatenate([_counts(table, counted_N) for table in tables], axis=1)
            for tables in word_tables(examples, _MAX_ORDER)
        ]
        counts = np.concatenate(blocks).astype(np.float64)
        if self.level == "corpus":
            return counts
        return np.stack([self._from_counts(counts), np.ones(len(counts))], axis=-1)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        if self.level == "corpus":
            return self._from_counts(sums)
        return np.asarray(sums[..., 0] / sums[..., 1])

    def _from_counts(self, sums: FloatArray) -> FloatArray:
        counts = sums.reshape(*sums.shape[:-1], _MAX_ORDER, 3, 3)
        hits, output_total, reference_total = np.moveaxis(counts, -1, 0)
        # 2 p r / (p + r) with p and r written out; 0 where there is nothing to count.
        totals = output_total + reference_total
        scores = 2 * hits / np.where(totals > 0, totals, 1)
        if self.deletion == "precision":
            precision = hits / np.where(output_total > 0, output_total, 1)
            scores[..., 2] = precision[..., 2]
        return np.asarray(100 * np.mean(scores, axis=(-1, -2)))


def _counts(table: NgramTable, counted_N: IntArray) -> IntArray:
    """Additions, keeps and deletions of one n. Shape: [E, 9]."""
    in_source, in_output = table.counts_MS[:, 0], table.counts_MS[:, 1]
    in_references = table.counts_MS[:, 2:].sum(axis=1)
    new = in_source == 0
    added, to_add = new & (in_output > 0), new & (in_references > 0)
    weight = counted_N[table.first + table.example_M]
    source_weight = weight * in_source
    keep = np.minimum(source_weight, weight * in_output)
    should_keep = np.minimum(source_weight, in_references)
    columns = [
        *(added & to_add, added, to_add),
        *(np.minimum(keep, should_keep), keep, should_keep),
        source_weight - np.maximum(keep, should_keep),
        *(source_weight - keep, source_weight - should_keep),
    ]
    return table.by_example(np.stack(columns, axis=1))
