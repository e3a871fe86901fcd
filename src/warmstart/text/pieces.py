"""A text in pieces while its tokens are written, which together are the text that they make."""

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Final

__all__ = ["TextPieces", "joined_pieces"]

# What the next tokens may still rewrite at the end of a text: bytes that are not yet a character,
# and a space that goes when a contraction gets whole ("do n ' t" becomes "don't").
_UNSETTLED: Final = re.compile(r"(?:\ufffd+|\s(?:n(?:\s?'(?:\s?t)?)?|'(?:\s?\w{0,2})?))$")


class TextPieces:
    """Gives text as soon as later tokens cannot change it.

    Args:
        decode: the text of tokens, without space around it.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self.decode = decode
        self.tokens: list[int] = []
        self.given = ""
        self.settled = ""

    def of(self, tokens: Iterable[int]) -> Iterator[str]:
        """The pieces of a text whose tokens come one after the other; none is empty."""
        for token in tokens:
            if piece := self.add(token):
                yield piece
        if piece := self.rest():
            yield piece

    def add(self, token: int) -> str:
        """Takes the next token.

        Returns:
            What is new and will not change; it may be nothing.
        """
        self.tokens.append(token)
        text = self.decode(self.tokens)
        # What this token left as it was: tokenizers differ in what they rewrite.
        stays = _common(self.settled, text)
        self.settled = _UNSETTLED.sub("", text)
        return self._give(stays)

    def rest(self) -> str:
        """What is left when no token follows."""
        return self._give(self.decode(self.tokens))

    def _give(self, text: str) -> str:
        if len(text) <= len(self.given):
            return ""
        assert text.startswith(self.given), "text that was given has changed"
        piece = text[len(self.given) :]
        self.given = text
        return piece


def _common(a: str, b: str) -> str:
    """What two texts begin with."""
    length = next(
        (place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y),
        min(len(a), len(b)),
    )
    return a[:length]


def joined_pieces(texts: Iterable[Iterator[str]]) -> Generator[str, None, None]:
    """The pieces of texts that follow each other, joined by a space as whole ones would be."""
    begun = False
    for pieces in texts:
        for number, piece in enumerate(pieces):
            yield piece if number or not begun else f" {piece}"
            begun = True
