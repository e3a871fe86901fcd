"""ROUGE F1, by rouge-score (Lin 2004)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Final

import numpy as np

from warmstart.errors import UsageError, did_you_mean
from warmstart.metrics.metric import FloatArray, Metric

__all__ = ["Rouge"]

_KINDS: Final = ("rouge1", "rouge2", "rougeL", "rougeLsum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rouge(Metric):
    """Mean over examples of one kind of ROUGE's F1, in percent.

    rouge-score lower-cases, and takes runs of a-z and 0-9 for words: it is made for English.
    rougeLsum takes each line of a text for a sentence; on one line it says what rougeL says. Of
    several references, each example takes the one with the best F1.
    """

    name: str  # "rouge1" | "rouge2" | "rougeL" | "rougeLsum"
    stemmer: bool = True  # Porter's, as papers on summarisation use it

    def __post_init__(self) -> None:
        if self.name not in _KINDS:
            raise UsageError(f"there is no ROUGE {self.name!r}; {did_you_mean(self.name, _KINDS)}")

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        stemmer = "porter" if self.stemmer else "no"
        return (
            f"{self.name}|f1|nrefs:{reference_count}|case:lc|tok:a-z0-9|stemmer:{stemmer}|"
            f"rouge-score:{version('rouge-score')}"
        )

    def statistics(
        self,
        sources: Sequence[str],
        outputs: Sequence[str],
        references: Sequence[Sequence[str]],
    ) -> FloatArray:
        """The example's F1, 0 to 1, and 1 to count examples. Shape: [N, 2]."""
        # Imported here: it takes half a second, and `warmstart list` does not compute anything.
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer([self.name], tokenizer=_Tokenizer(stemmer=self.stemmer))
        scores = [
            scorer.score_multi(list(of_example), output)[self.name].fmeasure
            for output, of_example in zip(outputs, references, strict=True)
        ]
        return np.stack([np.array(scores, dtype=np.float64), np.ones(len(scores))], axis=-1)

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return np.asarray(100 * sums[..., 0] / sums[..., 1])


class _Tokenizer:
    """The tokenizer of rouge-score, but every word is stemmed once: that is most of the time."""

    def __init__(self, *, stemmer: bool) -> None:
        self._stemmer = _Stemmer() if stemmer else None

    def tokenize(self, text: str) -> list[str]:
        from rouge_score.tokenize import tokenize

        tokens: list[str] = tokenize(text, self._stemmer)
        return tokens


class _Stemmer:
    def __init__(self) -> None:
        # rouge-score's own stemmer. Its package has no types.
        from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]

        self.stem = lru_cache(maxsize=2**18)(PorterStemmer().stem)
