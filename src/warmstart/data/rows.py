"""Rows of TSV, CSV and JSON Lines files, as named values."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from warmstart.data.compressed import compression, without_compression
from warmstart.data.lines import read_lines
from warmstart.errors import DataError

__all__ = [
    "FORMATS",
    "FileFormat",
    "Row",
    "file_format",
    "first_tsv_fields",
    "parse_json_line",
    "read_csv",
    "read_json_lines",
    "read_tsv",
]

FileFormat = Literal["tsv", "csv", "jsonl", "parquet", "arrow"]

FORMATS: Final[Mapping[str, FileFormat]] = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",  # so named by `datasets` and others
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
_ARRAY_HINT: Final = " Convert one whole array to lines: jq -c '.[]' FILE"
_FIELD_LIMIT: Final = 2**31 - 1  # characters; csv's own 131,072 is less than a long document


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file."""

    number: int  # of its line or row, counted from 1
    values: Mapping[str, object]  # texts; in JSON Lines, Parquet and Arrow any values
    unit: Literal["line", "row"] = "line"  # the unit of `number`

    @property
    def place(self) -> str:
        """Its location, for an error."""
        return f"{self.unit} {self.number}"


def file_format(path: Path) -> FileFormat:
    """The format of a file by its suffix, compressed or not.

    Raises:
        DataError: if the suffix is unknown.
    """
    ending = without_compression(path).suffix.lower()
    compression(path)  # rejects unsupported ones
    if ending not in FORMATS:
        raise DataError(
            f"{path} has no known format; a file of pairs ends in {', '.join(FORMATS)}, or as "
            "text in one of these and .gz or .zst. Two plain text files, line by line, are given "
            "as a list of paths."
        )
    return FORMATS[ending]


def first_tsv_fields(path: Path) -> list[str]:
    """The fields of the first line of a TSV file: its header, or its first row."""
    return next(read_lines(path)).split("\t")


def read_tsv(path: Path, *, header: bool) -> Iterator[Row]:
    """Rows of tab-separated text. Quotes are ordinary characters: real corpora leave them open.

    Args:
        path: the file.
        header: whether the first line names the columns; otherwise they are "1", "2", ...

    Raises:
        DataError: if a row has more or fewer fields than the first line, or as `read_lines`.
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
    """Rows of comma-separated text with a header, quoted as in spreadsheets. Skips empty lines.

    Raises:
        DataError: if a quote is never closed, a row has more or fewer fields than the header, or as
            `read_lines`.
    """
    # A limit of the whole process, and harmless: it only guards against unclosed quotes, which
    # `strict` reports anyway.
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
    """Rows of JSON Lines: one object on each line. Empty lines are ignored.

    Raises:
        DataError: if a line is not a JSON object, or as `read_lines`.
    """
    rows = 0
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        yield parse_json_line(line, path, number)
        rows += 1
    _check_any(rows, path)


def parse_json_line(line: str, path: Path, number: int) -> Row:
    """The object on a line of JSON Lines.

    Args:
        line: the line.
        path: its file, for the error.
        number: its number, counted from 1.

    Raises:
        DataError: if it is not a JSON object.
    """
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:  # a number may be too long, too
        raise DataError(
            f"{path}, line {number} is not valid JSON ({error}); JSON Lines has one whole "
            f"object on each line.{_ARRAY_HINT if line.lstrip().startswith('[') else ''}"
        ) from None
    if not isinstance(values, dict):
        raise DataError(
            f"{path}, line {number} holds a JSON {_json_type(values)}; JSON Lines has one "
            'object on each line, such as {"source": "...", "target": "..."}.'
            f"{_ARRAY_HINT if isinstance(values, list) else ''}"
        )
    return Row(number, cast(dict[str, object], values))


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
