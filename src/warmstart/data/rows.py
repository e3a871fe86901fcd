"""Rows of TSV, CSV and JSON Lines files, one after the other, as named values."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from warmstart.data.lines import is_gzip, read_lines
from warmstart.errors import DataError

__all__ = [
    "FileFormat",
    "Row",
    "file_format",
    "first_tsv_fields",
    "read_csv",
    "read_json_lines",
    "read_tsv",
]

FileFormat = Literal["tsv", "csv", "jsonl"]

_FORMATS: Final[Mapping[str, FileFormat]] = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_FIELD_LIMIT: Final = 2**31 - 1  # characters; csv's own 131,072 is less than a long document


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file."""

    line: int  # where it starts, counted from 1
    values: Mapping[str, object]  # text, and in JSON Lines whatever JSON has


def file_format(path: Path) -> FileFormat:
    """The format that a file's name stands for, with or without ``.gz`` at its end.

    Raises:
        DataError: The name ends in something else.
    """
    name = Path(path.stem) if is_gzip(path) else path
    if name.suffix.lower() not in _FORMATS:
        raise DataError(
            f"{path} has no known format; a file of pairs ends in {', '.join(_FORMATS)}, each "
            "also with .gz. Two plain text files, line by line, are given as a pair of paths."
        )
    return _FORMATS[name.suffix.lower()]


def first_tsv_fields(path: Path) -> list[str]:
    """What the first line of a TSV file holds: its header, or its first row."""
    return next(read_lines(path)).split("\t")


def read_tsv(path: Path, *, header: bool) -> Iterator[Row]:
    """Rows of tab-separated text. Quotes are ordinary characters: real corpora leave them open.

    Args:
        path: The file.
        header: Whether the first line names the columns; otherwise they are "1", "2", ...

    Raises:
        DataError: A row has more or fewer fields than the first line, or as `read_lines`.
    """
    names: list[str] | None = None
    rows = 0
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split("\t")
        if names is None:
            if header:
                names = _column_names(fields, path)
                continue
            names = [str(column) for column in range(1, len(fields) + 1)]
        yield _row(names, fields, path, number)
        rows += 1
    _check_any(rows, path)


def read_csv(path: Path) -> Iterator[Row]:
    """Rows of comma-separated text with a header, quoted as spreadsheets do. Empty lines are none.

    Raises:
        DataError: A quote is never closed, a row has more or fewer fields than the header, or as
            `read_lines`.
    """
    # A limit of the whole process, and harmless: it only guards against unclosed quotes, which
    # `strict` reports.
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader((f"{line}\n" for line in read_lines(path)), strict=True)
    names: list[str] | None = None
    rows = 0
    start = 1
    try:
        for fields in reader:
            if fields and names is None:
                names = _column_names(fields, path)
            elif fields and names is not None:
                yield _row(names, fields, path, start)
                rows += 1
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {start} is not valid CSV ({error}); a quote in a quoted field is "
            'written twice (""), and every quoted field ends in one.'
        ) from None
    _check_any(rows, path)


def read_json_lines(path: Path) -> Iterator[Row]:
    """Rows of JSON Lines: one object on each line. Empty lines are none.

    Raises:
        DataError: A line is not a JSON object, or as `read_lines`.
    """
    rows = 0
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number} is not valid JSON ({error}); JSON Lines has one whole "
                "object on each line."
            ) from None
        if not isinstance(values, dict):
            raise DataError(
                f"{path}, line {number} holds a JSON {_json_type(values)}; JSON Lines has one "
                'object on each line, such as {"source": "...", "target": "..."}.'
            )
        yield Row(number, cast(dict[str, object], values))
        rows += 1
    _check_any(rows, path)


def _json_type(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _column_names(fields: list[str], path: Path) -> list[str]:
    names = [field.strip() for field in fields]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path} has two columns named {name!r}; rename one of them.")
    return names


def _row(names: list[str], fields: list[str], path: Path, line: int) -> Row:
    if len(fields) != len(names):
        raise DataError(
            f"{path}, line {line} has {len(fields)} fields; the first line has {len(names)}, and "
            "every row needs as many."
        )
    return Row(line, dict(zip(names, fields, strict=True)))


def _check_any(rows: int, path: Path) -> None:
    if rows == 0:
        raise DataError(f"{path} has no rows; it needs at least one example.")
