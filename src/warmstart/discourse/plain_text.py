"""Plain text files to paragraphs to sentences, one after the other.

Takes text as it is found: wrapped lines with empty lines between paragraphs (books), one paragraph
a line, and text whose punctuation stands apart (WikiText), which is put together again.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from warmstart.data.lines import read_lines
from warmstart.text.sentences import sentence_ends

__all__ = ["paragraphs", "sentences"]

_WRAPPED: Final = 120  # characters; a longer line is a paragraph of its own
_LONGEST: Final = 100_000  # characters of a paragraph; more is cut, so that memory is bounded
_HEADER_LINES: Final = 400  # in which the header of a Project Gutenberg file ends
_START: Final = re.compile(r"\*\*\* ?START OF (THE|THIS) PROJECT GUTENBERG")
_END: Final = re.compile(
    r"\*\*\* ?END OF (THE|THIS) PROJECT GUTENBERG|^End of (the |this )?Project Gutenberg"
)

_APART: Final = (
    (re.compile(r" ?@([-.,])@ ?"), r"\1"),
    (re.compile(r" (?=[,.;:!?%)\]](?:\s|$))"), ""),
    (re.compile(r"(?<=[(\[]) "), ""),
    (re.compile(r" (?='(?:s|re|ve|ll|d|m)\b)"), ""),
    (re.compile(r" (?=n't\b)"), ""),
    (re.compile(r"(?<=s) '(?= [a-z])"), "'"),
    (re.compile(r"(?<=[$£€]) (?=\d)"), ""),
    (re.compile(r"(?<=\d) – (?=\d)"), "–"),
)


def paragraphs(path: Path) -> Iterator[str]:
    """The paragraphs of a UTF-8 text file, plain or compressed, each in one line.

    What Project Gutenberg put before and after a book is left out, and so are WikiText's headings.

    Raises:
        DataError: The file is missing, empty, or not as its name says.
    """
    block: list[str] = []
    size = 0
    for line in chain(_lines(path), [""]):
        text = line.strip()
        own = len(text) > _WRAPPED
        if block and (not text or own or size > _LONGEST):
            yield _tidy(" ".join(block))
            block, size = [], 0
        for start in range(0, len(text), _LONGEST) if own else ():
            yield _tidy(text[start : start + _LONGEST])
        if text and not own and not text.startswith("= "):
            block.append(text)
            size += len(text)


def _lines(path: Path) -> Iterator[str]:
    """Lines without what surrounds a book."""
    head: list[str] | None = []
    for number, line in enumerate(read_lines(path), start=1):
        if _END.search(line):
            break
        if head is None:
            yield line
        elif _START.search(line):
            head = None
        elif number < _HEADER_LINES:
            head.append(line)
        else:
            yield from head
            yield line
            head = None
    yield from head or ()


def _tidy(text: str) -> str:
    """One line: no italics marks, no punctuation that stands apart."""
    text = " ".join(text.replace("_", "").split())
    if " , " in text or text.endswith(" .") or " . " in text:
        for pattern, replacement in _APART:
            text = pattern.sub(replacement, text)
    return text


def sentences(paragraph: str) -> list[str]:
    """Splits after ``.``, ``!`` or ``?`` before a capital or a digit, not after an abbreviation.

    What follows the last end of a sentence is left out: a heading, or a cut.
    """
    found: list[str] = []
    start = 0
    for end in sentence_ends(paragraph):
        found.append(paragraph[start:end].strip())
        start = end
    tail = paragraph[start:].strip()
    if re.search(r"[.!?…][\"'”’)\]]*$", tail):
        found.append(tail)
    return found
