"""Plain text files to paragraphs to sentences.

Reads wrapped lines with empty lines between paragraphs (books), one paragraph a line, and text with
separated punctuation (WikiText), which is rejoined.
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
_LONGEST: Final = 100_000  # characters; longer paragraphs are split, so that memory is bounded
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

    Without the text of Project Gutenberg before and after a book, and without WikiText's headings.

    Raises:
        DataError: if the file is missing, empty or damaged.
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
    """Lines without Project Gutenberg's header and footer."""
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
    """One line, without marks of italics and separated punctuation."""
    text = " ".join(text.replace("_", "").split())
    if " , " in text or text.endswith(" .") or " . " in text:
        for pattern, replacement in _APART:
            text = pattern.sub(replacement, text)
    return text


def sentences(paragraph: str) -> list[str]:
    """Splits after ``.``, ``!`` or ``?`` before a capital or a digit, not after an abbreviation.

    Text after the last end of a sentence, a heading or a fragment, is dropped.
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
