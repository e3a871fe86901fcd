"""Texts that a metric's tokens do not fit: found before a figure misleads."""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Final

from warmstart.metrics.system_outputs import SystemOutputs
from warmstart.metrics.tokenization import UNSPACED
from warmstart.text.sentences import sentence_ends

if TYPE_CHECKING:
    import regex

__all__ = ["tokenized_texts", "unbroken_texts", "unspaced_texts", "words_outside_a_to_z"]

_EXAMPLES: Final = 2000  # read from the beginning of a file, as a sample
_FEW: Final = 0.02  # share of words; foreign names in English are fewer, German umlauts more
_TOKENIZED: Final = 100  # lines; sacrebleu's own bound
_AT_SPACES: Final = ("none", "13a", "intl")  # tokenizers that split words at spaces alone
# What to split a text by, by the script of most of its letters: sacrebleu's rule for BLEU, and
# characters for scripts that it has no tokenizer for.
_TOKENIZER_OF: Final = {"Kana": "ja-mecab", "Han": "zh", "Hangul": "ko-mecab", "other": "char"}


def words_outside_a_to_z(system: SystemOutputs) -> Iterator[str]:
    """Warns of words that ROUGE's own tokens leave out or cut."""
    texts = (*_texts(system), *islice(system.outputs, _EXAMPLES))
    words = [word for text in texts for word in text.split()]
    outside = sum(any(c.isalpha() and not c.isascii() for c in word) for word in words)
    if outside > _FEW * len(words):
        yield (
            f"ROUGE counts the letters a to z and digits alone, and {outside / len(words):.0%} of "
            "the words have others; give --tokenize unicode (Python: tokenize='unicode')."
        )


def unbroken_texts(system: SystemOutputs, mark: str) -> Iterator[str]:
    """Warns where rougeLsum has one sentence a text, though texts have several."""
    texts = list(_texts(system))
    if not any(mark in text for text in texts) and any(
        next(sentence_ends(text), None) is not None for text in texts
    ):
        named = "line break" if mark == "\n" else repr(mark)
        yield (
            f"No text has a {named} between its sentences, so rougeLsum is rougeL; give "
            "--split-sentences rule (Python: split_sentences='rule')."
        )


def unspaced_texts(system: SystemOutputs, name: str, tokenize: str) -> Iterator[str]:
    """Warns where words are split at spaces, of texts that have none between words."""
    if tokenize not in _AT_SPACES:
        return
    letters = Counter(map(_script, "".join(_texts(system))))
    letters.pop("", None)
    total = letters.total()
    letters.pop("spaced", None)
    if not letters or 2 * letters.total() < total:
        return
    # Japanese is mostly kana and partly Han; Chinese has no kana.
    kana = letters["Kana"] > letters.total() / 20
    script = "Kana" if kana else letters.most_common(1)[0][0]
    better = _TOKENIZER_OF[script]
    yield (
        f"{name} splits texts by {tokenize!r}, which finds no words in this script; give "
        f"--tokenize {better} (Python: tokenize={better!r})."
    )


def tokenized_texts(system: SystemOutputs, tokenize: str) -> Iterator[str]:
    """Sacrebleu's own warning: figures of tokenized outputs are not comparable."""
    lines = sum(text.rstrip().endswith(" .") for text in system.outputs)
    if tokenize != "none" and lines >= _TOKENIZED:
        yield (
            f"{lines} outputs end in a tokenized period (' .'). BLEU is made for detokenized "
            "texts, and its figures are comparable there alone; detokenize outputs and "
            "references, or give --tokenize none."
        )


def _texts(system: SystemOutputs) -> Iterator[str]:
    """References, which are correct; outputs without references."""
    texts: Iterable[Iterable[str]] = system.references or ([text] for text in system.outputs)
    for of_example in islice(texts, _EXAMPLES):
        yield from of_example


@cache
def _script(character: str) -> str:
    """The script of a letter that `_TOKENIZER_OF` has, "spaced", or "" for no letter."""
    if not character.isalpha():
        return ""
    for name, pattern in _patterns().items():
        if pattern.match(character):
            return name
    return "spaced"


@cache
def _patterns() -> "dict[str, regex.Pattern[str]]":
    import regex

    return {
        "Kana": regex.compile(r"[\p{Hiragana}\p{Katakana}]"),
        "Han": regex.compile(r"\p{Han}"),
        "Hangul": regex.compile(r"\p{Hangul}"),
        "other": regex.compile(f"[{UNSPACED}]"),
    }
