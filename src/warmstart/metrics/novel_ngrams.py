"""Novel n-grams: the share of the outputs that is not in their sources."""

from dataclasses import dataclass

import numpy as np

from warmstart._version import __version__
from warmstart.metrics.metric import Better, FloatArray, Metric, Need
from warmstart.metrics.ngrams import word_tables
from warmstart.metrics.proportion import share_value
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.metrics.tokenization import check_tokenization, text_signature, token_splitter

__all__ = ["NovelNgrams"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NovelNgrams(Metric):
    """Percentage of the outputs' n-grams that are not in their source.

    Each output's n-grams count once, however often they occur; the shares are over the corpus.
    """

    name: str  # novel_1grams to novel_4grams
    order: int  # tokens of an n-gram
    description: str = "share of the outputs' n-grams that are not in their source"
    source: str = "See et al. 2017, section 6; warmstart"
    needs: tuple[Need, ...] = ("sources",)
    better: Better = "neither"
    lowercase: bool = True
    tokenize: str = "13a"  # one of `TOKENIZATIONS`

    def __post_init__(self) -> None:
        check_tokenization(self.name, self.tokenize)

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        text = text_signature(lowercase=self.lowercase, tokenize=self.tokenize)
        return f"{self.name}|n:{self.order}|{text}|warmstart:{__version__}"

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """Novel n-grams and all n-grams of the output. Shape: [N, 2]."""
        assert system.sources is not None
        split = token_splitter(lowercase=self.lowercase, tokenize=self.tokenize)
        examples = (
            [split(source), split(output)]
            for source, output in zip(system.sources, system.outputs, strict=True)
        )
        blocks = []
        for tables in word_tables(examples, self.order):
            in_source, in_output = (tables[-1].counts_MS > 0).T
            columns = np.stack([in_output & ~in_source, in_output], axis=1)
            blocks.append(tables[-1].by_example(columns))
        return np.concatenate(blocks).astype(np.float64)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return share_value(sums)
