"""BLEU over the corpus, as sacrebleu defines it (Papineni et al. 2002; Post 2018)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import numpy as np

from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.ngrams import IntArray, NgramTable, word_tables
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.metrics.text_warnings import tokenized_texts, unspaced_texts
from warmstart.metrics.tokenization import check_tokenization, token_splitter

__all__ = ["Bleu"]

_MAX_ORDER: Final = 4  # n-grams of 1 to 4 tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Bleu(Metric):
    """Corpus BLEU with sacrebleu's tokenizers, smoothing and signature.

    The defaults are sacrebleu's: 13a tokens, case-sensitive, exponential smoothing. Text that is
    already tokenized, as WikiSplit's is, is scored with ``tokenize="none"``.
    Counted here, as sacrebleu does not expose the counts of an example and is slower; the figures
    are the same.
    """

    name: str = "bleu"
    description: str = "BLEU-4 over the corpus; 13a tokens, case-sensitive"
    source: str = "Papineni et al. 2002; sacrebleu (Post 2018), its defaults"
    lowercase: bool = False
    tokenize: str = "13a"  # one of `TOKENIZATIONS`

    def __post_init__(self) -> None:
        check_tokenization(self.name, self.tokenize)

    def signature(self, reference_count: str) -> str:
        """Sacrebleu's signature, after the metric's name."""
        case = "lc" if self.lowercase else "mixed"
        return (
            f"{self.name}|nrefs:{reference_count}|case:{case}|eff:no|tok:{self.tokenize}|"
            f"smooth:exp|version:{version('sacrebleu')}"
        )

    def warnings(self, system: SystemOutputs) -> Iterator[str]:
        """See `Metric.warnings`."""
        yield from unspaced_texts(system, self.name, self.tokenize)
        yield from tokenized_texts(system, self.tokenize)

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """Output length, reference length, hits and totals of each order. Shape: [N, 10]."""
        assert system.references is not None
        split = token_splitter(lowercase=self.lowercase, tokenize=self.tokenize)
        examples = (
            [split(output), *map(split, of_example)]
            for output, of_example in zip(system.outputs, system.references, strict=True)
        )
        counted_N = np.array([len(of_example) for of_example in system.references])
        return np.concatenate(
            [_counts(tables, counted_N) for tables in word_tables(examples, _MAX_ORDER)]
        )

    def value(self, sums: FloatArray) -> FloatArray:
        """`sacrebleu.metrics.BLEU.compute_bleu` for many corpora at once.

        An order without a hit counts as 1 / 2^k hits, k being how many such orders there are up to
        it (the smoothing of mteval-v13a). Without any hit, or without any 4-gram, BLEU is 0.
        """
        return _bleu(sums, effective_order=False)

    def example_values(self, statistics: FloatArray) -> FloatArray:
        """`sacrebleu.sentence_bleu`: orders longer than the output do not count."""
        return _bleu(statistics, effective_order=True)


def _counts(tables: Sequence[NgramTable], counted_N: IntArray) -> FloatArray:
    lengths_ES = tables[0].lengths_ES
    output_E = lengths_ES[:, :1]
    counted_E = counted_N[tables[0].first :][: len(lengths_ES)]
    # The closest length; of two equally close ones, the shorter. Missing references are far away.
    absent_ER = np.arange(lengths_ES.shape[1] - 1) >= counted_E[:, None]
    references_ER = np.where(absent_ER, 2**40, lengths_ES[:, 1:])
    distance_ER = 2 * np.abs(references_ER - output_E) + (references_ER > output_E)
    closest_E = np.take_along_axis(references_ER, distance_ER.argmin(axis=1)[:, None], axis=1)
    hits = [
        table.by_example(np.minimum(table.counts_MS[:, 0], table.counts_MS[:, 1:].max(axis=1)))
        for table in tables
    ]
    totals = [table.totals_ES[:, 0] for table in tables]
    return np.column_stack([output_E, closest_E, *hits, *totals]).astype(np.float64)


def _bleu(sums: FloatArray, *, effective_order: bool) -> FloatArray:
    output_length, reference_length = sums[..., 0], sums[..., 1]
    hits = sums[..., 2 : 2 + _MAX_ORDER]
    totals = sums[..., 2 + _MAX_ORDER :]
    has_total = totals > 0
    missed = np.cumsum((hits == 0) & has_total, axis=-1)
    smoothed = np.where(hits == 0, 0.5**missed, hits)
    log_precision = np.log(smoothed / np.where(has_total, totals, 1))
    defined = hits.sum(axis=-1) > 0
    if effective_order:
        orders = np.maximum(has_total.sum(axis=-1), 1)
        mean = np.where(has_total, log_precision, 0).sum(axis=-1) / orders
    else:
        defined &= has_total.all(axis=-1)
        mean = log_precision.mean(axis=-1)
    shortfall = 1 - reference_length / np.where(output_length > 0, output_length, 1)
    return np.where(defined, 100 * np.exp(mean + np.minimum(0, shortfall)), 0.0)
