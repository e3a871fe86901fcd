"""Examples from files of pairs and from parallel text files."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from textwrap import shorten
from typing import Final

from warmstart.data.columns import ColumnMapping, Columns, find_columns
from warmstart.data.example import Example
from warmstart.data.lines import read_lines
from warmstart.data.rows import (
    Row,
    file_format,
    first_tsv_fields,
    read_csv,
    read_json_lines,
    read_tsv,
)
from warmstart.errors import DataError, UsageError, did_you_mean

__all__ = ["DataFile", "read_examples", "read_pairs", "read_parallel"]

# One file of pairs, or parallel text files: the source's, then one or more of targets.
DataFile = str | Path | Sequence[str | Path]

_LOGGER: Final = logging.getLogger(__name__)


def read_examples(file: DataFile, columns: ColumnMapping | None = None) -> Iterator[Example]:
    """Examples of a file of pairs or of parallel text files; see `read_pairs`, `read_parallel`.

    Raises:
        UsageError: Columns are given for plain text files, which have none.
        DataError: The data is not as it should be.
    """
    if isinstance(file, str | Path):
        return read_pairs(file, columns)
    if columns is not None:
        raise UsageError("plain text files have no columns; leave the column mapping out.")
    return read_parallel(file)


def read_pairs(path: str | Path, columns: ColumnMapping | None = None) -> Iterator[Example]:
    """Examples of a TSV, CSV or JSON Lines file, plain or gzip, one after the other.

    Without `columns`, well-known names are looked for (source and target, complex and simple,
    article and highlights, ...), and in a TSV file without a header the first column is the
    source and the second the target. What was taken is logged.

    In JSON Lines a target may be a list of texts, several references of one example; a source
    that is a list of sentences is joined by spaces; and ``translation.de`` is the member ``de``
    of the object ``translation``.

    Args:
        path: The file; its name says its format.
        columns: Which columns to take, for example ``{"source": "complex", "target": "simple"}``.

    Raises:
        UsageError: `columns` is not a mapping of a source and a target to columns.
        DataError: While reading: a missing file or column, an empty text, a row that is not like
            the others, and so on, with the file and the line.
    """
    path = Path(path)
    return _examples(path, None if columns is None else Columns.parse(columns))


def read_parallel(paths: Sequence[str | Path]) -> Iterator[Example]:
    """Examples of plain text files, plain or gzip, in which equal lines belong together.

    Args:
        paths: The source's file, then one or more files of targets.

    Raises:
        UsageError: Fewer than two files.
        DataError: While reading: files of different length, an empty line, and so on.
    """
    if len(paths) < 2:
        raise UsageError(
            f"parallel text needs two files, the source's and the target's; {len(paths)} given."
        )
    return _parallel_examples([Path(path) for path in paths])


def _parallel_examples(paths: list[Path]) -> Iterator[Example]:
    for number, lines in enumerate(zip_longest(*map(read_lines, paths)), start=1):
        if None in lines:
            lengths = ", ".join(f"{path} {sum(1 for _ in read_lines(path))}" for path in paths)
            raise DataError(
                f"parallel text files need the same number of lines; they have: {lengths}."
            )
        for path, line in zip(paths, lines, strict=True):
            if not line.strip():
                raise DataError(
                    f"{path}, line {number} is empty; take that line out of all of the files."
                )
        yield Example(lines[0], tuple(lines[1:]))


def _examples(path: Path, columns: Columns | None) -> Iterator[Example]:
    rows, columns = _rows_and_columns(path, columns)
    for row in rows:
        source = _source(row, columns.source, path)
        targets = [text for column in columns.targets for text in _targets(row, column, path)]
        yield Example(source, tuple(targets))


def _rows_and_columns(path: Path, columns: Columns | None) -> tuple[Iterator[Row], Columns]:
    """The rows of a file and the columns to take, which are there in the first row."""
    match file_format(path):
        case "tsv":
            fields = first_tsv_fields(path)
            if columns is None and find_columns(fields) is None:
                return read_tsv(path, header=False), _first_two_columns(fields, path)
            rows = read_tsv(path, header=columns is None or not columns.numbered)
        case "csv":
            rows = read_csv(path)
        case "jsonl":
            rows = read_json_lines(path)
    first = next(rows)
    if columns is None:
        columns = _find_columns(first.values, path)
        _LOGGER.info("%s: took the column %s", path, columns)
    return chain([first], rows), columns


def _first_two_columns(fields: Sequence[str], path: Path) -> Columns:
    if len(fields) != 2:
        raise DataError(
            f"{path} has {len(fields)} columns and no header with well-known names; a TSV file "
            'needs two columns, or say which to take, for example {"source": 1, "target": 3}.'
        )
    _LOGGER.info("%s: no header; took the first column as the source, the second as target", path)
    return Columns(source="1", targets=("2",))


def _find_columns(values: Mapping[str, object], path: Path) -> Columns:
    found = find_columns(values)
    if found is not None:
        return found
    translation = values.get("translation")
    if isinstance(translation, dict) and len(translation) == 2:
        source, target = (f"translation.{language}" for language in translation)
        return Columns(source=source, targets=(target,))
    raise DataError(
        f"{path} has the columns {', '.join(values)}, and no pair of well-known names among them; "
        'say which to take, for example {"source": "complex", "target": "simple"}.'
    )


def _source(row: Row, column: str, path: Path) -> str:
    value = _value(row, column, path)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = " ".join(part for part in value if part.strip())
    return _text(value, row, column, path)


def _targets(row: Row, column: str, path: Path) -> list[str]:
    value = _value(row, column, path)
    parts = value if isinstance(value, list) and value else [value]
    return [_text(part, row, column, path) for part in parts]


def _text(value: object, row: Row, column: str, path: Path) -> str:
    if isinstance(value, str) and value.strip() and _is_unicode(value):
        return value
    if isinstance(value, str) and value.strip():
        wrong = "has half of a surrogate pair, which is no character"
    elif value is None or value == [] or isinstance(value, str):
        wrong = "is empty"
    else:
        wrong = "is not text"
    raise DataError(
        f"{path}, line {row.line}: the column {column!r} {wrong}; every example needs a source "
        "and a target that are text. Mend or remove the row."
    )


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold the text: JSON's escapes can write what it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _value(row: Row, column: str, path: Path) -> object:
    if column in row.values:
        return row.values[column]
    value: object = row.values
    for part in column.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise _missing_column(row, column, path)
        value = value[part]
    return value


def _missing_column(row: Row, column: str, path: Path) -> DataError:
    names = [shorten(name, width=40) for name in _column_names(row.values)]
    hint = ""
    if file_format(path) == "tsv" and not column.isdecimal():
        hint = " If the first line is no header, give columns by number, from 1."
    return DataError(
        f"{path}, line {row.line}: there is no column {column!r}; "
        f"{did_you_mean(column, names)}{hint}"
    )


def _column_names(values: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _column_names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
