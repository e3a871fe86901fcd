"""SARI for sentence rewriting, as Rothe et al. (2020) report it: tensor2tensor's definition.

Xu et al. (2016), "Optimizing Statistical Machine Translation for Text Simplification", compare the
n-grams that an output adds, keeps and deletes with those that its references do.
`sari_easse.py` has the other definition in use; their figures cannot be compared.
"""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final

import numpy as np

from warmstart import __version__
from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.tokens import check_tokenization, text_signature, token_splitter

__all__ = ["Sari"]

MAX_ORDER: Final = 4  # n-grams of 1 to 4 tokens

_Ngram = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sari(Metric):
    """Mean over sentences of SARI with deletion by precision, on sets of n-grams.

    For each sentence and each n of 1 to 4, with source S, output O and references R_1 .. R_r as
    *sets* of n-grams, and w(g) the share of the references that have g, where references too
    short to have any n-gram do not count (tensor2tensor, utils/sari_hook.py):

    - add: F1 of O - S against the union of the R_i, less S;
    - keep: F1 of O and S against R and S, where g weighs w(g) in the reference and as a hit;
    - delete: precision only (beta = 0) of S - O, where a hit weighs 1 - w(g).

    A precision or recall with nothing to count is 1, so that an output equal to its only
    reference scores 100. The three are averaged over n, then with each other.

    A copy of the source deletes nothing and so has a full deletion score: on WikiSplit copying
    alone reaches 63. Read this SARI together with exact match or BLEU.

    The defaults are those of the paper's figures on WikiSplit: case-sensitive, and tokens as
    white space separates them, because the published data is tokenized.
    """

    name: str = "sari"
    description: str = "SARI, tensor2tensor's definition: sentence mean, deletion by precision"
    lowercase: bool = False
    tokenize: str = "none"  # one of `tokens.TOKENIZATIONS`

    def __post_init__(self) -> None:
        check_tokenization(self.name, self.tokenize)

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        text = text_signature(lowercase=self.lowercase, tokenize=self.tokenize)
        return (
            f"sari|def:tensor2tensor|nrefs:{reference_count}|{text}|del:precision|"
            f"warmstart:{__version__}"
        )

    def statistics(
        self,
        sources: Sequence[str],
        outputs: Sequence[str],
        references: Sequence[Sequence[str]],
    ) -> FloatArray:
        """The sentence's SARI, 0 to 1, and 1 to count sentences. Shape: [N, 2]."""
        split = token_splitter(lowercase=self.lowercase, tokenize=self.tokenize)
        scores = [
            _sentence_sari(split(source), split(output), [split(text) for text in of_example])
            for source, output, of_example in zip(sources, outputs, references, strict=True)
        ]
        return np.stack([np.array(scores), np.ones(len(scores))], axis=-1)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return np.asarray(100 * sums[..., 0] / sums[..., 1])


def _sentence_sari(source: list[str], output: list[str], references: list[list[str]]) -> float:
    total = 0.0
    for order in range(1, MAX_ORDER + 1):
        total += _order_sari(
            _ngrams(source, order),
            _ngrams(output, order),
            [_ngrams(reference, order) for reference in references],
        )
    return total / MAX_ORDER


def _ngrams(tokens: list[str], order: int) -> set[_Ngram]:
    return set(zip(*(tokens[start:] for start in range(order)), strict=False))


def _order_sari(source: Set[_Ngram], output: Set[_Ngram], references: list[set[_Ngram]]) -> float:
    """Mean of the addition, keep and deletion scores of one n, 0 to 1."""
    counted = max(1, sum(1 for reference in references if reference))
    # How many references have an n-gram: w(g) times `counted`, kept whole so that sums are exact.
    frequency = Counter(ngram for reference in references for ngram in reference)

    added = output - source
    add_hits = len(added & frequency.keys())
    add = _f1(_ratio(add_hits, len(added)), _ratio(add_hits, len(frequency.keys() - source)))

    kept = output & source
    keep_hits = sum(frequency[ngram] for ngram in kept)
    keep = _f1(
        _ratio(keep_hits, counted * len(kept)),
        _ratio(keep_hits, sum(frequency[ngram] for ngram in source)),
    )

    deleted = source - output
    delete_hits = sum(counted - frequency[ngram] for ngram in deleted)
    return (add + keep + _ratio(delete_hits, counted * len(deleted))) / 3


def _ratio(hits: int, total: int) -> float:
    return hits / total if total > 0 else 1.0


def _f1(precision: float, recall: float) -> float:
    if precision == 0 or recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)
