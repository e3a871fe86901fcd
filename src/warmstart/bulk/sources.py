"""Turns lines into sources: lines of text as they are, of JSON Lines a field of each object."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

from warmstart.bulk.blocks import Block
from warmstart.bulk.job import Job, TextErrors
from warmstart.data.columns import find_source
from warmstart.data.lines import NotUtf8Error, decode_line
from warmstart.data.rows import Row, parse_json_line
from warmstart.data.texts import EmptyTextError, SurrogateError, source_of
from warmstart.errors import DataError

__all__ = ["Source", "choose_column", "sources"]

_REPLACE: Final = "Use --errors replace to decode invalid text as U+FFFD."

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A line of the input.

    Attributes:
        text: the source; empty without one, and then nothing is decoded.
        values: the object that it is a field of; None for a line of text, or an empty line.
        replaced: whether invalid text in it was replaced.
    """

    text: str
    values: Mapping[str, object] | None
    replaced: bool


def sources(block: Block, job: Job) -> list[Source]:
    """The sources of a block.

    Raises:
        DataError: if a line is invalid; the error names its file and line.
    """
    found = []
    for number in range(len(block.lines)):
        line, replaced = _line(block, number, job.errors)
        if job.input_format == "text":
            found.append(Source(line if line.strip() else "", None, replaced))
        elif line.strip():
            found.append(_of_row(_row(block, number, line), block, number, job, replaced))
        else:
            found.append(Source("", None, replaced))
    return found


def choose_column(blocks: Iterator[Block], errors: TextErrors) -> tuple[str, Iterator[Block]]:
    """The field that holds the source, by its name in the first object.

    Returns:
        The field, and the blocks, including those read here.

    Raises:
        DataError: if no name is known.
    """
    seen: list[Block] = []
    for block in blocks:
        seen.append(block)
        for number in range(len(block.lines)):
            line, _ = _line(block, number, errors)
            if line.strip():
                row = _row(block, number, line)
                return _known_column(row, block.origin(number)[0]), chain(seen, blocks)
    return "source", iter(seen)  # there is no object at all


def _known_column(row: Row, file: str) -> str:
    column = find_source(row.values)
    if column is None:
        raise DataError(
            f"{file}, {row.place} has the fields {', '.join(row.values) or '(none)'}, and none "
            "is known as a source; give one: --source-column NAME."
        )
    if column != "source":
        logger.info("%s: took the field '%s' as the source", file, column)
    return column


def _line(block: Block, number: int, errors: TextErrors) -> tuple[str, bool]:
    raw = block.lines[number]
    file, at = block.origin(number)
    try:
        return decode_line(raw, Path(file), at), False
    except NotUtf8Error as error:
        if errors == "replace":
            text = raw.decode("utf-8", "replace")
            return text.removesuffix("\n").removesuffix("\r"), True
        if error.compressed:
            raise
        raise DataError(f"{error} {_REPLACE}") from None


def _row(block: Block, number: int, line: str) -> Row:
    file, at = block.origin(number)
    return parse_json_line(line, Path(file), at)


def _of_row(row: Row, block: Block, number: int, job: Job, replaced: bool) -> Source:
    file, _ = block.origin(number)
    assert job.source_column is not None
    read = row
    if job.errors == "replace":
        repaired = cast(Mapping[str, object], _without_surrogates(row.values))
        if repaired != row.values:
            read, replaced = Row(row.number, repaired), True
    try:
        text = source_of(read, job.source_column, file)
    except EmptyTextError:
        text = ""
    except SurrogateError as error:
        raise DataError(f"{error} {_REPLACE}") from None
    return Source(text, row.values, replaced)


def _without_surrogates(value: Any) -> Any:
    """A JSON value with U+FFFD for each lone surrogate."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return value
    if isinstance(value, Mapping):
        return {name: _without_surrogates(member) for name, member in value.items()}
    if isinstance(value, Sequence):
        return [_without_surrogates(member) for member in value]
    return value
