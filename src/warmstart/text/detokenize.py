"""Case, accents and spaces of outputs, for tokenizers that lose them.

Words of an output that are also in its source are written as the source writes them; the rest
follows rules. Loads no torch.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from warmstart.text.tokenizer_pair import TokenizerPair

__all__ = ["can_detokenize", "detokenize", "lowers_case"]

_LONGEST: Final = 20_000  # characters of a source that are aligned
_CLOSING: Final = frozenset(".,;:!?)]}%…”’»。，、！？")
_OPENING: Final = frozenset("([{$£€¥“‘«¿¡@#")
_ENDS: Final = frozenset(".!?")
_AFTER_END: Final = frozenset("\"'”’»)]")
_SUFFIXES: Final = frozenset(("s", "t", "d", "m", "re", "ve", "ll"))  # after an apostrophe
# Words that have a capital at the beginning of a sentence alone.
_FUNCTION_WORDS: Final = frozenset(
    "a an the this that these those it its he his she her they their we our you your and but or "
    "nor so yet for in on at by to of from with without after before when while where as if "
    "because although though since until during under over between into there here some many most "
    "all both each no not one two however also then who which what how why".split()
)


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text, as the tokenizer splits texts into words.

    Attributes:
        key: its tokens.
        text: its characters.
        space: whether there is space before it.
    """

    key: tuple[int, ...]
    text: str
    space: bool


def can_detokenize(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether a tokenizer loses case or spaces: uncased ones, and those of word pieces."""
    if not tokenizer.is_fast:
        return False
    decoder = tokenizer.backend_tokenizer.decoder
    return type(decoder).__name__ == "WordPiece" or lowers_case(tokenizer)


def lowers_case(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether a tokenizer removes capitals."""
    normalizer = tokenizer.backend_tokenizer.normalizer if tokenizer.is_fast else None
    return normalizer is not None and "A" not in normalizer.normalize_str("A")


def detokenize(
    tokenizers: "TokenizerPair", source: str, rows: Sequence[Sequence[int]]
) -> list[str]:
    """Outputs with the case, accents, spaces and unknown words of their source.

    Words are aligned by their tokens. Copied runs are written as in the source, single words that
    are in the source as they are spelt there. Other words begin with a capital where a sentence
    does, unless the source has no capitals. Spaces at signs are those of the source at the same
    sign, or those of English.

    Args:
        tokenizers: of the model; the target's must be a fast one.
        source: the source of all outputs.
        rows: the tokens of each output.
    """
    tokenizer = tokenizers.target
    read = _words(tokenizer, source[:_LONGEST])
    spelling = _Spelling(read, lowers=lowers_case(tokenizer))
    spacing = _Spacing(read)
    unknown = tokenizer.unk_token_id
    deleted = {*tokenizer.all_special_ids} - {unknown}
    texts = []
    for row in rows:
        kept = [token for token in row if token not in deleted]
        # Unknown tokens stay, to be aligned with the unknown words of the source.
        text = str(tokenizer.decode(kept, skip_special_tokens=False))
        texts.append(_written(_words(tokenizer, text), read, spelling, spacing, unknown))
    return texts


def _words(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[_Word]:
    encoding = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    words: list[_Word] = []
    groups: list[tuple[list[int], int, int]] = []
    last: int | None = None
    for token, word, (start, stop) in zip(
        encoding.ids, encoding.word_ids, encoding.offsets, strict=True
    ):
        if word is not None and word == last:
            tokens, first, _ = groups[-1]
            groups[-1] = ([*tokens, token], first, stop)
        else:
            groups.append(([token], start, stop))
        last = word
    end = 0
    for tokens, start, stop in groups:
        words.append(_Word(tuple(tokens), text[start:stop], text[end:start] != ""))
        end = stop
    return words


def _written(
    output: list[_Word],
    source: list[_Word],
    spelling: "_Spelling",
    spacing: "_Spacing",
    unknown: int | None,
) -> str:
    """The output as text.

    Args:
        output: its words.
        source: words of the source.
        spelling: of the source.
        spacing: of the source.
        unknown: the unknown token.
    """
    aligned = _aligned(output, source)
    parts: list[str] = []
    begins = True
    previous: int | None = None  # index of the last word that is written
    for index, word in enumerate(output):
        at = aligned[index]
        if word.key == (unknown,) and at is None:
            continue  # nobody knows what it stands for
        follows = (
            previous is not None
            and at is not None
            and aligned[previous] == at - 1
            and previous == index - 1
        )
        text = spelling.of(word, at, begins=begins, follows=follows)
        if begins and not follows and spelling.capitals and text[:1].islower():
            text = text[0].upper() + text[1:]
        if previous is not None:
            assert previous < index
            space = (
                source[at].space
                if follows and at is not None
                else spacing.between(output, parts, previous, index)
            )
            parts.append(" " if space else "")
        parts.append(text)
        begins = _begins_next(word.text, begins)
        previous = index
    return "".join(parts).strip()


def _aligned(output: list[_Word], source: list[_Word]) -> list[int | None]:
    """The source word of each output word, in runs as long as possible."""
    aligned: list[int | None] = [None] * len(output)
    matcher = SequenceMatcher(
        None, [word.key for word in source], [word.key for word in output], autojunk=False
    )
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            aligned[block.b + offset] = block.a + offset
    return aligned


def _begins_next(text: str, begins: bool) -> bool:
    """Whether the word after a text begins a sentence."""
    if text in _ENDS:
        return True
    signs = not any(character.isalnum() for character in text)
    return begins and signs  # quotation marks and brackets between


class _Spelling:
    """Spelling of words, from a source."""

    def __init__(self, source: list[_Word], *, lowers: bool) -> None:
        self.source = source
        self.lowers = lowers
        # Whether sentences begin with a capital that the tokenizer removes.
        self.capitals = lowers and any(word.text != word.text.lower() for word in source)
        # Within sentences, where capitals are the word's own, if it is there at all.
        self.within: dict[tuple[int, ...], str] = {}
        self.anywhere: dict[tuple[int, ...], str] = {}
        self.begin: list[bool] = []
        begins = True
        for word in source:
            self.begin.append(begins)
            self.anywhere.setdefault(word.key, word.text)
            if not begins:
                self.within.setdefault(word.key, word.text)
            begins = _begins_next(word.text, begins)

    def of(self, word: _Word, at: int | None, *, begins: bool, follows: bool) -> str:
        """A word of an output.

        Args:
            word: the word.
            at: index of the source word that it is copied from.
            begins: whether it begins a sentence of the output.
            follows: whether the word before is copied from the one before.
        """
        if at is not None and (follows or not self.begin[at] or begins):
            return self.source[at].text
        if word.key in self.within:
            return self.within[word.key]
        if word.key in self.anywhere:
            text = self.anywhere[word.key]
            return text.lower() if self.lowers and text.lower() in _FUNCTION_WORDS else text
        return "I" if self.lowers and word.text == "i" else word.text


class _Spacing:
    """Spaces between words, from a source where it has them."""

    def __init__(self, source: list[_Word]) -> None:
        self.between_words: dict[tuple[tuple[int, ...], tuple[int, ...]], bool] = {}
        self.before: dict[str, bool] = {}
        for left, right in pairwise(source):
            self.between_words.setdefault((left.key, right.key), right.space)
            if right.text in _CLOSING:
                self.before.setdefault(right.text, right.space)

    def between(self, output: list[_Word], parts: list[str], previous: int, index: int) -> bool:
        """Whether there is space before a word of an output."""
        left, right = output[previous], output[index]
        known = self.between_words.get((left.key, right.key))
        if known is not None:
            return known
        if right.text in _CLOSING:
            return self.before.get(right.text, False)
        before = output[previous - 1].text if previous else ""
        return _english_space(before, left.text, right.text, parts)


def _english_space(before: str, left: str, right: str, parts: list[str]) -> bool:
    """Whether there is space between two words, by rules of English.

    Args:
        before: the word before the left one.
        left: a word.
        right: the next word, no closing sign.
        parts: what is written so far.
    """
    if left in _OPENING:
        return False
    if left == '"' or right == '"':
        quotes = sum(part == '"' for part in parts)
        # An odd number is open: after an opening mark and before a closing one there is no space.
        return quotes % 2 == 0
    if right == "'":
        return not left[-1:].isalpha()
    if left == "'":
        return not (before[-1:].isalpha() and right in _SUFFIXES)
    if left == "<" or right == ">":
        return _is_word(right if left == "<" else left)
    if left in ".," and before.isdigit() and right.isdigit():
        return left == "," and len(right) != 3
    if left == ":" and before.isdigit() and right.isdigit():
        return False
    if left == "." and len(before) == 1 and before.isalpha() and len(right) == 1:
        return False  # initials
    if "-" in (left, right) or "/" in (left, right):
        return not _is_word(right if left in "-/" else left)
    return True


def _is_word(text: str) -> bool:
    return text[:1].isalnum() or unicodedata.combining(text[:1] or " ") > 0
