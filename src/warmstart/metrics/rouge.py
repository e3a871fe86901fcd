"""ROUGE F1, rouge-score's definition (Lin 2004)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import pairwise
from typing import Any, ClassVar, Final

import numpy as np

from warmstart.errors import UsageError, did_you_mean
from warmstart.metrics.metric import FloatArray, Metric
from warmstart.metrics.metric_options import SentenceSplit
from warmstart.metrics.proportion import mean_statistics, share_value
from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.metrics.text_warnings import unbroken_texts, words_outside_a_to_z
from warmstart.metrics.tokenization import UNICODE, unicode_words
from warmstart.text.sentences import sentence_ends

__all__ = ["Rouge"]

_KINDS: Final = ("rouge1", "rouge2", "rougeL", "rougeLsum")
LATIN: Final = "a-z0-9"  # rouge-score's own words


@dataclass(frozen=True, slots=True, kw_only=True)
class Rouge(Metric):
    """Mean over examples of one kind of ROUGE's F1, in percent.

    rouge-score lower-cases, and takes runs of a-z and 0-9 for words: it is made for English. With
    `tokenize` "unicode", words of all scripts count; on ASCII texts the two are equal. rougeLsum
    takes each line of a text for a sentence, or what `split_sentences` says; without sentences it
    is rougeL. Of several references, each example takes the one with the best F1.
    """

    name: str  # "rouge1" | "rouge2" | "rougeL" | "rougeLsum"
    source: str = "Lin 2004; rouge-score"
    stemmer: bool = True  # Porter's, as in papers on summarization
    tokenize: str = LATIN  # or "unicode"
    # Where rougeLsum splits texts: at line breaks, at the mark <q> of some data sets, or by rule
    # (`text.sentences`), as texts on one line need it.
    split_sentences: SentenceSplit = "newline"

    tokenizations: ClassVar[tuple[str, ...]] = (LATIN, UNICODE)

    def __post_init__(self) -> None:
        if self.name not in _KINDS:
            raise UsageError(f"There is no ROUGE {self.name!r}; {did_you_mean(self.name, _KINDS)}")
        if self.tokenize not in self.tokenizations:
            raise UsageError(
                f"{self.name} has no tokenization {self.tokenize!r}; "
                f"{did_you_mean(self.tokenize, self.tokenizations)}"
            )

    def signature(self, reference_count: str) -> str:
        """See `Metric.signature`."""
        stemmer = "porter" if self.stemmer else "no"
        split = "" if self.split_sentences == "newline" else f"sentences:{self.split_sentences}|"
        return (
            f"{self.name}|f1|nrefs:{reference_count}|case:lc|tok:{self.tokenize}|"
            f"stemmer:{stemmer}|{split}rouge-score:{version('rouge-score')}"
        )

    def warnings(self, system: SystemOutputs) -> Iterator[str]:
        """See `Metric.warnings`."""
        if self.tokenize == LATIN:
            yield from words_outside_a_to_z(system)
        if self.name == "rougeLsum" and self.split_sentences != "rule":
            mark = "\n" if self.split_sentences == "newline" else self.split_sentences
            yield from unbroken_texts(system, mark)

    def statistics(self, system: SystemOutputs) -> FloatArray:
        """The example's F1, 0 to 1, and 1 to count examples. Shape: [N, 2]."""
        assert system.references is not None
        score = self._scorer()
        best = [
            max(score(reference, output) for reference in of_example)
            for output, of_example in zip(system.outputs, system.references, strict=True)
        ]
        return mean_statistics(np.array(best, dtype=np.float64))

    def value(self, sums: FloatArray) -> FloatArray:
        """See `Metric.value`."""
        return share_value(sums)

    def _scorer(self) -> Callable[[str, str], float]:
        """A function from a reference and an output to F1, 0 to 1."""
        # Imported here: it takes half a second, and `warmstart list` does not compute anything.
        from rouge_score.rouge_scorer import RougeScorer

        tokenize = _tokenizer(stemmer=self.stemmer, latin=self.tokenize == LATIN)
        scorer = RougeScorer([self.name], tokenizer=_Tokenizer(tokenize))

        def by_library(reference: str, output: str) -> float:
            return float(scorer.score(reference, output)[self.name].fmeasure)

        def by_subsequence(reference: str, output: str) -> float:
            if self.name == "rougeLsum":
                reference, output = self._lines(reference), self._lines(output)
                if "\n" in reference or "\n" in output:
                    return by_library(reference, output)
            in_reference, in_output = tokenize(reference), tokenize(output)
            common = _common_subsequence(in_reference, in_output)
            return 2 * common / (len(in_reference) + len(in_output)) if common else 0.0

        return by_subsequence if self.name in ("rougeL", "rougeLsum") else by_library

    def _lines(self, text: str) -> str:
        """The text with a line break after each sentence."""
        match self.split_sentences:
            case "newline":
                return text
            case "<q>":
                return text.replace("<q>", "\n")
            case "rule":
                bounds = [0, *sentence_ends(text), len(text)]
                return "\n".join(text[a:b].strip() for a, b in pairwise(bounds))


def _common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, each row of its table as the bits of a number.

    Hyyrö (2004), "Bit-parallel LCS-length computation revisited". rouge-score's own table takes
    most of its time.
    """
    places: dict[str, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    every = (1 << len(first)) - 1
    row = every  # a bit is 0 where the subsequence grows
    for token in second:
        if token in places:
            found = row & places[token]
            row = (row + found | row - found) & every
    return len(first) - row.bit_count()


class _Tokenizer:
    """A tokenizer with rouge-score's interface."""

    def __init__(self, tokenize: Callable[[str], list[str]]) -> None:
        self.tokenize = tokenize


def _tokenizer(*, stemmer: bool, latin: bool) -> Callable[[str], list[str]]:
    """rouge-score's, but each word is stemmed once, and an output split once for its references.

    Args:
        stemmer: whether words of more than three letters, of a to z alone, are stemmed.
        latin: whether words are rouge-score's; else those of all scripts.
    """
    from rouge_score.tokenize import tokenize

    stem = _Stemmer() if stemmer else None

    @lru_cache(maxsize=4)
    def split(text: str) -> list[str]:
        if latin:
            tokens: list[str] = tokenize(text, stem)
            return tokens
        words = unicode_words(text.lower())
        if stem is None:
            return words
        return [stem.stem(word) if len(word) > 3 and word.isascii() else word for word in words]

    return split


class _Stemmer:
    def __init__(self) -> None:
        # rouge-score's own stemmer. Its package has no types.
        from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]

        self.stem: Any = lru_cache(maxsize=2**18)(PorterStemmer().stem)
