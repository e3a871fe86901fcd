"""GLEU for grammatical error correction. Not Google's metric of the same name.

Napoles et al. (2015), "Ground Truth for Grammatical Error Correction Metrics", and (2016), "GLEU
Without Tuning".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

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

__all__ = ["GleuCorrection"]

_MAX_ORDER: Final = 4  # n-grams of 1 to 4 tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class GleuCorrection(Metric):
    """Corpus GLEU "without tuning": BLEU with a penalty for uncorrected n-grams.

    For each n of 1 to 4, with n-gram counts c of output O, source S and reference R:

    - hits: the sum of min(c_O, c_R), minus the sum of min(c_O, c_S) over the n-grams that are
      not in R, and at least 0;
    - precision: hits of all sentences over n-grams of all outputs, with BLEU's brevity penalty.

    GLEU is the geometric mean of the four, and 0 if one is 0. With several references the
    definition draws one for each sentence, 500 times, and takes the mean GLEU. Here each sentence
    counts with the mean over its references, the limit of the draws: no randomness, and equal
    to the definition for one reference.

    The defaults are those of the authors' program: case-sensitive, and tokens separated
    by white space.
    """

    name: str = "gleu_correction"
    description: str = "GLEU for grammatical error correction, without tuning (not Google's GLEU)"
    source: str = "Napoles et al. 2015, 2016; expectation over references"
    needs: tuple[Need, ...] = ("sources", "references")
    lowercase: bool = False
    tokenize: str = "none"  # one of `TOKENIZATIONS`

    def __post_init__(self) -> None:
        check_tokenization(self.name, self.tokenize)

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        text = text_signature(lowercase=self.lowercase, tokenize=self.tokenize)
        return (
            f"{self.name}|def:napoles2016|nrefs:{reference_count}|refs:mean|{text}|"
            f"warmstart:{__version__}"
        )

    def warnings(self, system: SystemOutputs) -> Iterator[str]:
        """See `Metric.warnings`."""
        yield from unspaced_texts(system, self.name, self.tokenize)

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """Output length, reference length, hits and totals of each order. Shape: [N, 10]."""
        assert system.references is not None
        split = token_splitter(lowercase=self.lowercase, tokenize=self.tokenize)
        examples = split_examples(system, split)
        counted_N = np.array([len(of_example) for of_example in system.references])
        return np.concatenate(
            [_counts(tables, counted_N) for tables in word_tables(examples, _MAX_ORDER)]
        )

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return _gleu(sums)

    def example_values(self, statistics: FloatArray) -> FloatArray:
        """As the authors' program smooths sentences: a count of 0 is 1.

        But an empty output of a reference with words has nothing right: smoothed, it would be
        better than most others.
        """
        smoothed = np.minimum(_gleu(np.where(statistics == 0, 1, statistics)), 100)
        nothing = (statistics[..., 0] == 0) & (statistics[..., 1] > 0)
        return np.where(nothing, 0.0, smoothed)


def _counts(tables: Sequence[NgramTable], counted_N: IntArray) -> FloatArray:
    lengths_ES = tables[0].lengths_ES
    counted_E = counted_N[tables[0].first :][: len(lengths_ES)]
    hits: list[FloatArray] = []
    for table in tables:
        in_source, in_output = table.counts_MS[:, :1], table.counts_MS[:, 1:2]
        references_MR = table.counts_MS[:, 2:]
        uncorrected = np.where(references_MR == 0, np.minimum(in_output, in_source), 0)
        hits_ER = table.by_example(np.minimum(in_output, references_MR) - uncorrected)
        # Missing references have no hits, and so do not count.
        hits.append(np.maximum(hits_ER, 0).sum(axis=1) / counted_E)
    totals = [table.totals_ES[:, 1] for table in tables]
    reference_length = lengths_ES[:, 2:].sum(axis=1) / counted_E
    return np.column_stack([lengths_ES[:, 1], reference_length, *hits, *totals]).astype(np.float64)


def _gleu(sums: FloatArray) -> FloatArray:
    output_length, reference_length = sums[..., 0], sums[..., 1]
    hits, totals = sums[..., 2 : 2 + _MAX_ORDER], sums[..., 2 + _MAX_ORDER :]
    defined = (hits > 0).all(axis=-1) & (totals > 0).all(axis=-1) & (reference_length > 0)
    precision = np.where(hits > 0, hits, 1) / np.where(totals > 0, totals, 1)
    shortfall = 1 - reference_length / np.where(output_length > 0, output_length, 1)
    score = 100 * np.exp(np.log(precision).mean(axis=-1) + np.minimum(0, shortfall))
    return np.where(defined, score, 0.0)
