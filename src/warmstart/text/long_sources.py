"""Sources that are longer than a model can read: truncated, refused, or split into chunks.

Chunks end where sentences do. Overlong sentences are split between words; overlong words anywhere
but within a character.
"""

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from warmstart.errors import TextError, UsageError
from warmstart.text.sentences import sentence_ends

__all__ = [
    "Chunks",
    "Long",
    "check_limit",
    "check_overlap",
    "chunk_long",
    "prefixes_per_chunk",
    "refuse_long",
    "tighter_limit",
]

# The handling of a source that is longer than the limit.
Long: TypeAlias = Literal["truncate", "chunk", "error"]

# Tokens of each text, special ones included.
_Count: TypeAlias = Callable[[Sequence[str]], list[int]]
_JOINERS: Final = "\u200d\ufe0e\ufe0f"  # between or after the parts of one character


@dataclass(frozen=True, slots=True)
class Chunks:
    """Texts, with the long ones in several chunks.

    Attributes:
        texts: the chunks, in order.
        owners: the index of the text that each belongs to; ascending.
    """

    texts: list[str]
    owners: list[int]

    def span(self, owner: int) -> tuple[int, int]:
        """The first chunk of a text, and the number of its chunks."""
        first = bisect_left(self.owners, owner)
        return first, bisect_right(self.owners, owner) - first


def tighter_limit(a: int | None, b: int | None) -> int | None:
    """The smaller of two limits, where None is no limit."""
    limits = [limit for limit in (a, b) if limit is not None]
    return min(limits) if limits else None


def check_limit(max_length: int, special: int) -> None:
    """Rejects a limit of sources that leaves no room for a text.

    Args:
        max_length: the limit in tokens.
        special: special tokens of every source.

    Raises:
        UsageError: naming the lowest limit.
    """
    if max_length <= special:
        raise UsageError(
            f"max_source_length is {max_length}, and every source has {special} special tokens, so "
            f"nothing could be read; it must be at least {special + 1}."
        )


def check_overlap(chunk_overlap: int, limit: int | None) -> None:
    """Rejects an overlap of more than half of the limit.

    Raises:
        UsageError: naming the highest overlap.
    """
    if limit is not None and chunk_overlap > limit // 2:
        raise UsageError(
            f"chunk_overlap is {chunk_overlap}, but sources are read {limit} tokens at a time; it "
            f"must be at most half of that, {limit // 2}."
        )


def refuse_long(texts: Sequence[str], limit: int | None, count: _Count) -> None:
    """Rejects texts that would have to be truncated.

    Raises:
        TextError: naming the first of them.
    """
    for number, length in enumerate([] if limit is None else count(texts), start=1):
        if limit is not None and length > limit:
            raise TextError(
                "Text",
                number,
                f"has {length} tokens, and the model reads {limit}; shorten it, or set long to "
                "'truncate' or 'chunk'.",
            )


def chunk_long(
    texts: Sequence[str], limit: int | None, count: _Count, *, overlap: int = 0
) -> Chunks:
    """Splits texts of more tokens than the limit into chunks within it.

    Args:
        texts: the texts; the others stay whole.
        limit: tokens, special ones included; None: nothing is long.
        count: tokens of each of some texts, special ones included.
        overlap: most tokens of a chunk's last sentences that the next begins with.
    """
    chunks: list[str] = []
    owners: list[int] = []
    lengths = [0] * len(texts) if limit is None else count(texts)
    for index, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        of_text = [text]
        if limit is not None and length > limit:
            of_text = _chunks(text, limit, count, overlap)
        chunks += of_text
        owners += [index] * len(of_text)
    return Chunks(chunks, owners)


def prefixes_per_chunk(
    prefix: str | Sequence[str] | None, chunks: Chunks
) -> str | Sequence[str] | None:
    """The prefix of each chunk's output: the first chunk of a text has the text's.

    Args:
        prefix: one for all texts, one for each, or None.
        chunks: of the texts.
    """
    texts = chunks.owners[-1] + 1 if chunks.owners else 0
    if prefix is None or len(chunks.texts) == texts:
        return prefix
    prefixes = [prefix] * texts if isinstance(prefix, str) else prefix
    if len(prefixes) != texts:
        return prefixes  # an error, raised where all prefixes are checked
    owners = chunks.owners
    return [
        prefixes[owner] if index == 0 or owners[index - 1] != owner else ""
        for index, owner in enumerate(owners)
    ]


def _chunks(text: str, limit: int, count: _Count, overlap: int) -> list[str]:
    """A long text in chunks of at most `limit` tokens."""
    units = _units(text)
    if len(units) == 1:
        units, overlap = _halves(text), 0
    if len(units) == 1:
        return [text]  # one character: the tokenizer truncates it
    room = limit - count([""])[0]
    lengths = [length - (limit - room) for length in count(units)]
    chunks: list[str] = []
    for group in _packed(lengths, room, overlap):
        chunk = "".join(units[group.start : group.stop]).strip()
        # Joined, sentences seldom have more tokens than apart.
        fits = not chunk or count([chunk])[0] <= limit
        chunks += [chunk] if fits else _chunks(chunk, limit, count, 0)
    return [chunk for chunk in chunks if chunk] or [""]


def _packed(lengths: Sequence[int], room: int, overlap: int) -> list[range]:
    """Neighbours whose lengths add up to at most `room`, or single ones that are longer."""
    groups: list[range] = []
    start, held = 0, 0
    for index, length in enumerate(lengths):
        if index > start and held + length > room:
            groups.append(range(start, index))
            start, held = index, 0
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
        ends = [index for index in range(1, len(text)) if text[index].isspace()]
        ends = [end for end in ends if not text[end - 1].isspace()]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


def _halves(text: str) -> list[str]:
    """A text in two, but not within one character as readers see it."""
    middle = len(text) // 2
    while middle > 1 and (
        unicodedata.combining(text[middle])
        or text[middle] in _JOINERS
        or text[middle - 1] == _JOINERS[0]
    ):
        middle -= 1
    return [part for part in (text[:middle], text[middle:]) if part]
