"""SARI for sentence rewriting, as Rothe et al. (2020) report it: tensor2tensor's definition.

Xu et al. (2016), "Optimizing Statistical Machine Translation for Text Simplification", compare the
n-grams that an output adds, keeps and deletes with those that its references do.
`sari_easse.py` has the other definition in use; their figures cannot be compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from warmstart._version import __version__
from warmstart.metrics.metric import FloatArray, Metric, Need
from warmstart.metrics.ngrams import NgramTable, word_tables
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.metrics.text_warnings import unspaced_texts
from warmstart.metrics.tokenization import (
    check_tokenization,
    split_examples,
    text_signature,
    token_splitter,
)

__all__ = ["Sari"]

_MAX_ORDER: Final = 4  # n-grams of 1 to 4 tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Sari(Metric):
    """Mean over sentences of SARI with deletion by precision, on sets of n-grams.

    For each sentence and each n of 1 to 4, with source S, output O and references R_1 .. R_r as
    *sets* of n-grams, and w(g) the share of the references that have g, where references too
    short to have any n-gram do not count (tensor2tensor, utils/sari_hook.py):

    - add: F1 of O - S against the union of the R_i, less S;
    - keep: F1 of O and S against R and S, where g weighs w(g) in the reference and as a hit;
    - delete: precision only (beta = 0) of S - O, where a hit weighs 1 - w(g). With
      ``deletion="f1"`` (beta = 1) F1, whose recall is over all of S.

    A precision or recall with nothing to count is 1, so that an output equal to its only
    reference scores 100. The three are averaged over n, then with each other.

    A copy of the source deletes nothing and so has a full deletion score: on WikiSplit copying
    alone reaches 63. Read this SARI together with exact match or BLEU.

    The defaults are those of the paper's figures on WikiSplit: case-sensitive, and tokens as
    white space separates them, because the published data is tokenized.
    """

    name: str = "sari"
    description: str = "SARI, tensor2tensor's definition: sentence mean, deletion by precision"
    source: str = "Xu et al. 2016; tensor2tensor, utils/sari_hook.py (Rothe et al. 2020)"
    needs: tuple[Need, ...] = ("sources", "references")
    lowercase: bool = False
    tokenize: str = "none"  # one of `TOKENIZATIONS`
    deletion: Literal["precision", "f1"] = "precision"

    def __post_init__(self) -> None:
        check_tokenization(self.name, self.tokenize)

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        text = text_signature(lowercase=self.lowercase, tokenize=self.tokenize)
        return (
            f"{self.name}|def:tensor2tensor|nrefs:{reference_count}|{text}|del:{self.deletion}|"
            f"warmstart:{__version__}"
        )

    def warnings(self, system: SystemOutputs) -> Iterator[str]:
        """See `Metric.warnings`."""
        yield from unspaced_texts(system, self.name, self.tokenize)

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """The sentence's SARI, 0 to 1, and 1 to count sentences. Shape: [N, 2]."""
        split = token_splitter(lowercase=self.lowercase, tokenize=self.tokenize)
        examples = split_examples(system, split)
        scores = np.concatenate(
            [
                sum((_order_sari(table, self.deletion) for table in tables), start=np.zeros(1))
                for tables in word_tables(examples, _MAX_ORDER)
            ]
        )
        return np.stack([scores / _MAX_ORDER, np.ones(len(scores))], axis=-1)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return np.asarray(100 * sums[..., 0] / sums[..., 1])


def _order_sari(table: NgramTable, deletion: Literal["precision", "f1"]) -> FloatArray:
    """Mean of the addition, keep and deletion scores of one n, 0 to 1. Shape: [E]."""
    counted_E = np.maximum(1, (table.totals_ES[:, 2:] > 0).sum(axis=1))
    counted_M = counted_E[table.example_M]
    in_source, in_output = table.counts_MS[:, 0] > 0, table.counts_MS[:, 1] > 0
    # How many references have an n-gram: w(g) times `counted`, kept whole so that sums are exact.
    frequency = (table.counts_MS[:, 2:] > 0).sum(axis=1)
    added = in_output & ~in_source
    kept = in_output & in_source
    deleted = in_source & ~in_output
    sums = table.by_example(
        np.stack(
            [
                added & (frequency > 0),
                added,
                (frequency > 0) & ~in_source,
                frequency * kept,
                kept,
                frequency * in_source,
                (counted_M - frequency) * deleted,
                deleted,
                (counted_M - frequency) * in_source,
            ],
            axis=1,
        )
    )
    add_hits, added_E, to_add, keep_hits, kept_E, to_keep, delete_hits, deleted_E, to_delete = (
        sums.T
    )
    add = _f1(_ratio(add_hits, added_E), _ratio(add_hits, to_add))
    keep = _f1(_ratio(keep_hits, counted_E * kept_E), _ratio(keep_hits, to_keep))
    delete = _ratio(delete_hits, counted_E * deleted_E)
    if deletion == "f1":
        delete = _f1(delete, _ratio(delete_hits, to_delete))
    return np.asarray((add + keep + delete) / 3)


def _ratio(hits: NDArray[Any], total: NDArray[Any]) -> FloatArray:
    return np.where(total > 0, hits / np.maximum(total, 1), 1.0)


def _f1(precision: FloatArray, recall: FloatArray) -> FloatArray:
    both = precision + recall
    return np.asarray(2 * precision * recall / np.where(both > 0, both, 1.0))
