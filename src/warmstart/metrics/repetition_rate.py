"""Repetition rate: the share of outputs with three words repeated."""

from dataclasses import dataclass

import numpy as np

from warmstart._version import __version__
from warmstart.metrics.metric import Better, FloatArray, Metric, Need
from warmstart.metrics.ngrams import word_tables
from warmstart.metrics.proportion import mean_statistics, share_value
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.metrics.tokenization import check_tokenization, text_signature, token_splitter

__all__ = ["RepetitionRate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionRate(Metric):
    """Percentage of outputs in which an n-gram occurs more than once."""

    name: str = "repetition_rate"
    description: str = "share of outputs with a repeated 3-gram; lower-cased, 13a tokens"
    source: str = "after See et al. 2017, section 6; warmstart"
    needs: tuple[Need, ...] = ()
    better: Better = "lower"
    lowercase: bool = True
    tokenize: str = "13a"  # one of `TOKENIZATIONS`
    order: int = 3  # tokens of an n-gram

    def __post_init__(self) -> None:
        check_tokenization(self.name, self.tokenize)

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        text = text_signature(lowercase=self.lowercase, tokenize=self.tokenize)
        return f"{self.name}|n:{self.order}|{text}|warmstart:{__version__}"

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """Whether there is a repetition, and 1 to count examples. Shape: [N, 2]."""
        split = token_splitter(lowercase=self.lowercase, tokenize=self.tokenize)
        examples = ([split(output)] for output in system.outputs)
        blocks = [
            tables[-1].by_example(tables[-1].counts_MS[:, 0] > 1) > 0
            for tables in word_tables(examples, self.order)
        ]
        return mean_statistics(np.concatenate(blocks).astype(np.float64))

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return share_value(sums)
