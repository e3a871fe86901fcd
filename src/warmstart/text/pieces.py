"""A text in pieces while its tokens are decoded; together they are exactly its text."""

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Final

__all__ = ["TextPieces", "joined_pieces"]

# The end of a text that the next tokens may still change: bytes of an incomplete character, and a
# space that disappears when a contraction is complete ("do n ' t" becomes "don't").
_UNSETTLED: Final = re.compile(r"(?:\ufffd+|\s(?:n(?:\s?'(?:\s?t)?)?|'(?:\s?\w{0,2})?))$")


class TextPieces:
    """Emits text as soon as later tokens cannot change it.

    Args:
        decode: from tokens to their text, stripped.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self.decode = decode
        self.tokens: list[int] = []
        self.emitted = ""
        self.settled = ""

    def of(self, tokens: Iterable[int]) -> Iterator[str]:
        """Yields the pieces of a text whose tokens come one after the other; none is empty."""
        for token in tokens:
            if piece := self.add(token):
                yield piece
        if piece := self.rest():
            yield piece

    def add(self, token: int) -> str:
        """Takes the next token.

        Returns:
            New text that will not change; it may be empty.
        """
        self.tokens.append(token)
        text = self.decode(self.tokens)
        # Text that this token did not change: tokenizers differ in what they replace.
        unchanged = _common_prefix(self.settled, text)
        self.settled = _UNSETTLED.sub("", text)
        return self._emit(unchanged)

    def rest(self) -> str:
        """The remaining text when no token follows."""
        return self._emit(self.decode(self.tokens))

    def _emit(self, text: str) -> str:
        if len(text) <= len(self.emitted):
            return ""
        assert text.startswith(self.emitted), "emitted text has changed"
        piece = text[len(self.emitted) :]
        self.emitted = text
        return piece


def _common_prefix(a: str, b: str) -> str:
    """The common beginning of two texts."""
    length = next(
        (index for index, (x, y) in enumerate(zip(a, b, strict=False)) if x != y),
        min(len(a), len(b)),
    )
    return a[:length]


def joined_pieces(texts: Iterable[Iterator[str]]) -> Generator[str, None, None]:
    """Yields the pieces of consecutive texts, joined by spaces as the whole texts are."""
    begun = False
    for pieces in texts:
        for number, piece in enumerate(pieces):
            yield piece if number or not begun else f" {piece}"
            begun = True
