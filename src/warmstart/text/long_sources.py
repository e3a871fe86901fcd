"""Sources that are longer than a model can read: cut, refused, or decoded in pieces.

Pieces end where sentences do. A sentence that is too long by itself ends where a word does, and a
word that is, anywhere.
"""

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from warmstart.errors import TextError, UsageError, did_you_mean
from warmstart.text.sentences import sentence_ends

__all__ = ["Long", "Pieces", "check_long", "first_pieces", "refuse_long", "shorter", "split_long"]

# What becomes of a source that is longer than the limit.
Long: TypeAlias = Literal["truncate", "chunk", "error"]

# Tokens of each text, special ones included.
_Count: TypeAlias = Callable[[Sequence[str]], list[int]]
_JOINERS: Final = "\u200d\ufe0e\ufe0f"  # stand between, or behind, what makes one character


@dataclass(frozen=True, slots=True)
class Pieces:
    """Texts, of which the long ones stand in several pieces.

    Attributes:
        texts: the pieces, in order.
        owners: the place of the text that each is of; ascending.
    """

    texts: list[str]
    owners: list[int]

    def span(self, owner: int) -> tuple[int, int]:
        """The first piece of a text, and how many there are."""
        first = bisect_left(self.owners, owner)
        return first, bisect_right(self.owners, owner) - first


def shorter(a: int | None, b: int | None) -> int | None:
    """The smaller of two limits, where None is no limit."""
    limits = [limit for limit in (a, b) if limit is not None]
    return min(limits) if limits else None


def check_limit(max_length: int, special: int) -> None:
    """Refuses a limit of sources that leaves no room for a text.

    Args:
        max_length: the limit in tokens.
        special: tokens that every source has.

    Raises:
        UsageError: naming the least.
    """
    if max_length <= special:
        raise UsageError(
            f"max_source_length is {max_length}, and every source has {special} special tokens, so "
            f"nothing could be read; it must be at least {special + 1}."
        )


def check_long(long: str, chunk_overlap: int, limit: int | None) -> None:
    """Refuses settings that make no sense.

    Raises:
        UsageError: the name is unknown, or the overlap is not below half of the limit, or there is
            one where nothing overlaps.
    """
    if long not in get_args(Long):
        raise UsageError(f"long is {long!r}; {did_you_mean(str(long), get_args(Long))}")
    if chunk_overlap < 0:
        raise UsageError(f"chunk_overlap is {chunk_overlap}; it must be 0 (none) or more tokens.")
    if chunk_overlap and long != "chunk":
        raise UsageError(
            f"chunk_overlap is {chunk_overlap}, but long is '{long}', where nothing overlaps; set "
            "long to 'chunk', or leave the overlap out."
        )
    if limit is not None and chunk_overlap > limit // 2:
        raise UsageError(
            f"chunk_overlap is {chunk_overlap}, but sources are read {limit} tokens at a time; it "
            f"must be at most half of that, {limit // 2}."
        )


def refuse_long(texts: Sequence[str], limit: int | None, count: _Count) -> None:
    """Refuses texts that have to be cut.

    Raises:
        TextError: naming the first of them.
    """
    for place, length in enumerate([] if limit is None else count(texts), start=1):
        if limit is not None and length > limit:
            raise TextError(
                "Text",
                place,
                f"has {length} tokens, and the model reads {limit}; shorten it, or choose what "
                "becomes of long sources: 'truncate' or 'chunk'.",
            )


def split_long(
    texts: Sequence[str], limit: int | None, count: _Count, *, overlap: int = 0
) -> Pieces:
    """Puts texts of more tokens than the limit into pieces of as many or fewer.

    Args:
        texts: the texts; the others stay as they are.
        limit: tokens, special ones included; None: nothing is long.
        count: tokens of each of some texts, special ones included.
        overlap: how many tokens, at most, of a piece's last sentences the next begins with.
    """
    pieces: list[str] = []
    owners: list[int] = []
    lengths = [0] * len(texts) if limit is None else count(texts)
    for place, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        of_text = [text]
        if limit is not None and length > limit:
            of_text = _chunks(text, limit, count, overlap)
        pieces += of_text
        owners += [place] * len(of_text)
    return Pieces(pieces, owners)


def first_pieces(prefix: str | Sequence[str] | None, pieces: Pieces) -> str | Sequence[str] | None:
    """What each piece's output begins with, of what each text's output does.

    Args:
        prefix: one for all texts, one for each, or none.
        pieces: of the texts.
    """
    texts = pieces.owners[-1] + 1 if pieces.owners else 0
    if prefix is None or len(pieces.texts) == texts:
        return prefix
    given = [prefix] * texts if isinstance(prefix, str) else prefix
    if len(given) != texts:
        return given  # an error, which is told where all prefixes are looked at
    owners = pieces.owners
    return [
        given[owner] if place == 0 or owners[place - 1] != owner else ""
        for place, owner in enumerate(owners)
    ]


def _chunks(text: str, limit: int, count: _Count, overlap: int) -> list[str]:
    """A long text in pieces of at most `limit` tokens."""
    units = _units(text)
    if len(units) == 1:
        units, overlap = _halves(text), 0
    if len(units) == 1:
        return [text]  # one character: the tokenizer cuts it
    room = limit - count([""])[0]
    lengths = [length - (limit - room) for length in count(units)]
    chunks: list[str] = []
    for group in _packed(lengths, room, overlap):
        chunk = "".join(units[group.start : group.stop]).strip()
        # Put together, sentences seldom have more tokens than apart.
        fits = not chunk or count([chunk])[0] <= limit
        chunks += [chunk] if fits else _chunks(chunk, limit, count, 0)
    return [chunk for chunk in chunks if chunk] or [""]


def _packed(lengths: Sequence[int], room: int, overlap: int) -> list[range]:
    """Neighbours whose lengths add up to at most `room`, or single ones that are longer."""
    groups: list[range] = []
    start, held = 0, 0
    for place, length in enumerate(lengths):
        if place > start and held + length > room:
            groups.append(range(start, place))
            start, held = place, 0
            while start - 1 > groups[-1].start and held + lengths[start - 1] <= min(
                overlap, room - length
            ):
                start -= 1
                held += lengths[start]
        held += length
    return [*groups, range(start, len(lengths))]


def _units(text: str) -> list[str]:
    """Sentences; the words of a single sentence."""
    ends = list(sentence_ends(text))
    if not text[slice(ends[-1] if ends else 0, None)].strip():
        ends = ends[:-1]
    if not ends:
        ends = [place for place in range(1, len(text)) if text[place].isspace()]
        ends = [end for end in ends if not text[end - 1].isspace()]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


def _halves(text: str) -> list[str]:
    """A text in two, but not within what is one character to a reader."""
    middle = len(text) // 2
    while middle > 1 and (
        unicodedata.combining(text[middle])
        or text[middle] in _JOINERS
        or text[middle - 1] == _JOINERS[0]
    ):
        middle -= 1
    return [part for part in (text[:middle], text[middle:]) if part]
