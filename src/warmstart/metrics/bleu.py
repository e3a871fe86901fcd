"""BLEU over the corpus, by sacrebleu (Papineni et al. 2002; Post 2018)."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import numpy as np

from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.tokens import check_tokenization

__all__ = ["Bleu"]

_MAX_ORDER: Final = 4  # n-grams of 1 to 4 tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Bleu(Metric):
    """Corpus BLEU with sacrebleu's defaults: 13a tokens, case-sensitive, exponential smoothing.

    Text that is already tokenized, as WikiSplit's is, is scored with ``tokenize="none"``.
    """

    name: str = "bleu"
    description: str = "corpus BLEU, by sacrebleu"
    lowercase: bool = False
    tokenize: str = "13a"  # one of `tokens.TOKENIZATIONS`

    def __post_init__(self) -> None:
        check_tokenization(self.name, self.tokenize)

    def signature(self, reference_count: str) -> str:
        """The signature that sacrebleu gives, behind the metric's name."""
        case = "lc" if self.lowercase else "mixed"
        return (
            f"bleu|nrefs:{reference_count}|case:{case}|eff:no|tok:{self.tokenize}|smooth:exp|"
            f"version:{version('sacrebleu')}"
        )

    def statistics(
        self,
        sources: Sequence[str],
        outputs: Sequence[str],
        references: Sequence[Sequence[str]],
    ) -> FloatArray:
        """Output length, reference length, hits and totals of each order. Shape: [N, 10]."""
        # Imported here: `warmstart list` shows metrics without loading what computes them.
        from sacrebleu.metrics.bleu import BLEU

        # `effective_order` changes a sentence's score but not its counts, and without it
        # sacrebleu warns at every sentence.
        scorer = BLEU(lowercase=self.lowercase, tokenize=self.tokenize, effective_order=True)
        rows: list[list[int]] = []
        for output, of_example in zip(outputs, references, strict=True):
            score = scorer.sentence_score(output, of_example)
            rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
        return np.array(rows, dtype=np.float64)

    def value(self, sums: FloatArray) -> FloatArray:
        """`sacrebleu.metrics.BLEU.compute_bleu` for many corpora at once.

        An order without a hit counts as 1 / 2^k hits, k being how many such orders there are up to
        it (the smoothing of mteval-v13a). Without any hit, or without any 4-gram, BLEU is 0.
        """
        output_length, reference_length = sums[..., 0], sums[..., 1]
        hits = sums[..., 2 : 2 + _MAX_ORDER]
        totals = sums[..., 2 + _MAX_ORDER :]
        defined = (hits.sum(axis=-1) > 0) & (totals.min(axis=-1) > 0)
        missed = np.cumsum(hits == 0, axis=-1)
        smoothed = np.where(hits == 0, 0.5**missed, hits)
        log_precision = np.log(smoothed / np.where(totals > 0, totals, 1)).mean(axis=-1)
        shortfall = 1 - reference_length / np.where(output_length > 0, output_length, 1)
        return np.where(defined, 100 * np.exp(log_precision + np.minimum(0, shortfall)), 0.0)
