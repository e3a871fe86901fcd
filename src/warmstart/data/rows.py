"""Rows of TSV, CSV and JSON Lines files, as named values."""

import csv
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
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
    "is_quoted",
    "parse_json_line",
    "read_csv",
    "read_json_lines",
    "read_tsv",
    "split_otherwise",
]

FileFormat = Literal["tsv", "csv", "jsonl", "parquet", "arrow", "tmx", "m2"]

FORMATS: Final[Mapping[str, FileFormat]] = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",  # so named by `datasets` and others
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".tmx": "tmx",
    ".m2": "m2",
}
# Other formats -> a way to convert them.
_CONVERSIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (".xlsx", ".xls", ".ods"),
        'save it as CSV, in a spreadsheet program or by python -c "import pandas; '
        "pandas.read_excel('{path}').to_csv('NEW.csv', index=False)\"",
    ),
    **dict.fromkeys(
        (".xml", ".sgm", ".sgml"),
        "extract its texts into one file for each side, one text a line; of a test set of WMT: "
        "sacrebleu -t wmt14 -l de-en --echo src > NEW.de",
    ),
    **dict.fromkeys(
        (".pkl", ".pickle", ".pt"),
        "write it as Parquet where it was made; a pickle may run code, and is not read",
    ),
    ".yaml": "write it as JSON Lines, one object a line",
    ".db": "export its table as CSV: sqlite3 -header -csv {path} 'SELECT * FROM TABLE' > NEW.csv",
}
_ARRAY_NAMES: Final = frozenset("data rows examples items records instances".split())
_TURN: Final = frozenset(("role", "from"))  # members of a turn of a chat, which is one row
# The first line of one value of many lines.
_OPENED: Final = re.compile(r'\[\s*(?:\{|$)|\{\s*(?:"\w+"\s*:\s*\[\s*)?$')
_ARRAY_HINT: Final = " Convert one whole array to lines: jq -c '.[]' FILE"
_COMMA: Final = ","
_SEPARATORS: Final[Mapping[str, str]] = {
    _COMMA: "commas",
    ";": "semicolons",
    "\t": "tabs",
    "|": "bars",
}
_QUOTED: Final = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')
_FIELD_LIMIT: Final = 2**31 - 1  # characters; csv's own 131,072 is less than a long document

logger = logging.getLogger(__name__)


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
    if ending in _CONVERSIONS:
        advice = _CONVERSIONS[ending].format(path=path)
        raise DataError(f"{path} is in a format that is not read ({ending}); {advice}.")
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
    """Rows of tab-separated text.

    Quotes are ordinary characters, as real corpora leave them open. Only a field in quotes that has
    doubled quotes inside, as pandas writes it, is unquoted.

    Args:
        path: the file.
        header: whether the first line names the columns; otherwise they are "1", "2", ...

    Raises:
        DataError: if a row has more or fewer fields than the first line, or as `read_lines`.
    """
    names: list[str] | None = None
    rows = 0
    for number, line in enumerate(read_lines(path), start=1):
        fields = list(map(_unquoted, line.split("\t")))
        if names is None:
            if header:
                names = _column_names(fields, path)
                continue
            names = [str(column) for column in range(1, len(fields) + 1)]
        yield _row(names, fields, path, number)
        rows += 1
    _check_any(rows, path)


def is_quoted(fields: Sequence[str]) -> bool:
    """Whether all fields are in quotes, as pandas writes them on request."""
    return len(fields) > 1 and all(re.fullmatch(r'"[^"]+"', field) for field in fields)


def split_otherwise(line: str) -> list[str]:
    """The fields of a line without tabs by the separator that it has; one field if it has none."""
    return next(csv.reader([line], delimiter=_separator(line), skipinitialspace=True))


def read_csv(path: Path) -> Iterator[Row]:
    """Rows of comma-separated text with a header, quoted as in spreadsheets. Skips empty lines.

    Where the header has no comma but a semicolon, a tab or a bar, that is the separator.

    Raises:
        DataError: if a quote is never closed, a row has more or fewer fields than the header, or as
            `read_lines`.
    """
    # A limit of the whole process, and harmless: it only guards against unclosed quotes, which
    # `strict` reports anyway.
    csv.field_size_limit(_FIELD_LIMIT)
    lines = read_lines(path)
    first = next(lines)
    start = 1
    separator = _separator(first)
    if first.lower() == f"sep={separator}":  # Excel's own line
        first, start = next(lines, ""), 2
    if separator != _COMMA:
        logger.info("%s: columns are separated by %s", path, _SEPARATORS[separator])
    reader = csv.reader(
        (f"{line}\n" for line in chain([first], lines)),
        strict=True,
        delimiter=separator,
        skipinitialspace=f"{separator} " in first,
    )
    before = start - 1  # lines that the reader does not see
    names: list[str] | None = None
    rows = 0
    try:
        for fields in reader:
            if fields and names is None:
                names = _column_names(fields, path)
            elif fields and names is not None:
                yield _row(names, fields, path, start)
                rows += 1
            start = before + reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {start} is not valid CSV ({error}); a quote in a quoted field is "
            'written twice (""), and every quoted field ends in one.'
        ) from None
    _check_any(rows, path)


def _unquoted(field: str) -> str:
    if '""' in field and _QUOTED.fullmatch(field):
        return field[1:-1].replace('""', '"')
    return field


def _separator(first: str) -> str:
    """The separator of a CSV file, by its first line."""
    named = re.fullmatch(r"sep=(.)", first, re.IGNORECASE)
    if named is not None and named[1] in _SEPARATORS:
        return named[1]
    unquoted = re.sub(r'"[^"]*"', "", first)
    return next((separator for separator in _SEPARATORS if separator in unquoted), _COMMA)


def read_json_lines(path: Path) -> Iterator[Row]:
    """Rows of JSON Lines: one object on each line. Empty lines are ignored.

    A file may also be one JSON value: an array of objects, or an object with one such array among
    its members, such as ``{"data": [...]}``. It is read as a whole.

    Raises:
        DataError: if a line is not a JSON object, or as `read_lines`.
    """
    rows = 0
    if _is_one_value(path):
        yield from _rows_of_value(path)
        return
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        yield parse_json_line(line, path, number)
        rows += 1
    _check_any(rows, path)


def _is_one_value(path: Path) -> bool:
    """Whether a JSON file is one array, or one object around an array, by its first two lines."""
    lines = [line.strip() for line in islice(filter(str.strip, read_lines(path)), 2)]
    if not lines:
        return False
    try:
        value = json.loads(lines[0])
    except (ValueError, RecursionError):
        return _OPENED.match(lines[0]) is not None
    if isinstance(value, list):
        return len(lines) == 1 and all(isinstance(row, dict) for row in value)
    return len(lines) == 1 and isinstance(value, dict) and _array_of(value) is not None


def _array_of(value: Mapping[str, object]) -> list[object] | None:
    """The array of rows in an object: its only member, or one with a usual name."""
    for name, member in value.items():
        usual = len(value) == 1 or name in _ARRAY_NAMES
        if usual and isinstance(member, list) and member and isinstance(member[0], dict):
            return None if _TURN & {*member[0]} else member
    return None


def _rows_of_value(path: Path) -> Iterator[Row]:
    try:
        value = json.loads("\n".join(read_lines(path)))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not valid JSON ({error}); give one object a line, or one whole array of "
            "objects."
        ) from None
    rows = _array_of(value) if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise DataError(
            f"{path} holds one JSON {_json_type(value)} without an array of objects; give one "
            "object a line, or one whole array of objects."
        )
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, row {number} holds a JSON {_json_type(row)}; every item of the array is "
                'an object, such as {"source": "...", "target": "..."}.'
            )
        yield Row(number, cast(dict[str, object], row), "row")
    _check_any(len(rows), path)


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
