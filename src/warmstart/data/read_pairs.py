"""Examples from rows and from parallel text files."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Final

from warmstart.data.columnar import read_arrow, read_parquet
from warmstart.data.columns import ColumnMapping, Columns
from warmstart.data.example import Example
from warmstart.data.lines import read_lines
from warmstart.data.m2 import read_m2
from warmstart.data.origin import Origin
from warmstart.data.recognize import (
    check_first_row,
    first_two_columns,
    has_known_columns,
    has_other_separator,
    recognize_columns,
)
from warmstart.data.rows import (
    Row,
    file_format,
    first_tsv_fields,
    is_quoted,
    read_csv,
    read_json_lines,
    read_tsv,
)
from warmstart.data.skipped_rows import SkippedRows
from warmstart.data.texts import EmptyTextError, source_of, targets_of, value_of, weight_of
from warmstart.data.tmx import read_tmx
from warmstart.errors import DataError, UsageError

__all__ = ["Examples", "examples_of_rows", "read_pairs", "read_parallel"]

logger = logging.getLogger(__name__)
_ANY: Final = Origin()


@dataclass(frozen=True, slots=True)
class Examples:
    """Examples that are read from the start on every iteration."""

    read: Callable[[], Iterator[Example]]

    def __iter__(self) -> Iterator[Example]:
        return self.read()


def read_pairs(
    path: str | Path,
    columns: ColumnMapping | Columns | None = None,
    origin: Origin = _ANY,
    skipped: SkippedRows | None = None,
) -> Examples:
    """Examples of a TSV, CSV, JSON, TMX, M2, Parquet or Arrow file; text may be compressed.

    Without `columns`, well-known names are recognized (source and target, complex and simple,
    article and highlights, ...), and in a TSV file without a header the first column is the
    source and the second the target. The columns taken are logged.

    In JSON Lines, Parquet and Arrow a target may be a list of texts, several references of one
    example; a source that is a list of sentences is joined by spaces; and ``translation.de`` is
    the member ``de`` of the object ``translation``. ``first + second`` joins two columns by a
    space; one of them may be empty. ``weight`` may name a column of numbers, see `Example.weight`.

    Args:
        path: the file; its suffix is its format.
        columns: columns to take, for example ``{"source": "complex", "target": "simple"}``.
        origin: properties of the task's data.
        skipped: counts rows with an empty text, which are skipped; None: they are an error.

    Raises:
        UsageError: if `columns` is not a mapping of a source and a target to columns.
        DataError: while reading, with the file and the line: if a file or column is missing, a text
            is empty, a row differs from the others, the data is another task's, and so on.
    """
    path = Path(path)
    if columns is not None and not isinstance(columns, Columns):
        columns = Columns.parse(columns)
    return Examples(lambda: _file_examples(path, columns, origin, skipped))


def read_parallel(paths: Sequence[str | Path], skipped: SkippedRows | None = None) -> Examples:
    """Examples of parallel text files, plain or compressed: one example a line.

    Args:
        paths: the source's file, then one or more files of targets.
        skipped: counts lines with an empty text, which are skipped; None: they are an error.

    Raises:
        UsageError: if there are fewer than two files.
        DataError: while reading: if the files differ in length, a line is empty, and so on.
    """
    if len(paths) < 2:
        raise UsageError(
            f"Parallel text needs two files, the source's and the target's; {len(paths)} given."
        )
    return Examples(lambda: _parallel_examples([Path(path) for path in paths], skipped))


def examples_of_rows(
    rows: Iterable[Row],
    name: object,
    columns: Columns | None,
    origin: Origin,
    skipped: SkippedRows | None = None,
) -> Iterator[Example]:
    """Examples of rows with named columns.

    Args:
        rows: at least one.
        name: their origin, for logs and errors.
        columns: columns to take; None: well-known ones.
        origin: properties of the task's data.
        skipped: counts rows with an empty text, which are skipped; None: they are an error.

    Raises:
        DataError: if a row is invalid, or no columns are recognized.
    """
    rows = iter(rows)
    first = next(rows)
    columns = _columns_of(first, name, columns, origin)
    return _examples(chain([first], rows), name, columns, skipped)


def _columns_of(row: Row, name: object, columns: Columns | None, origin: Origin) -> Columns:
    """The columns given, or else recognized and logged."""
    if columns is None:
        columns = recognize_columns(row.values, name, origin)
        logger.info("%s: took the column %s", name, columns)
    return columns


def _checked_columns(row: Row, path: Path, columns: Columns | None, origin: Origin) -> Columns:
    """As `_columns_of`, checked while the row still has all its columns, for the error to name."""
    columns = _columns_of(row, path, columns, origin)
    weights = () if columns.weight is None else (columns.weight,)
    for column in (columns.source, *columns.targets, *weights):
        value_of(row, column, path)
    return columns


def _file_examples(
    path: Path, columns: Columns | None, origin: Origin, skipped: SkippedRows | None
) -> Iterator[Example]:
    match file_format(path):
        case "tsv":
            fields = first_tsv_fields(path)
            if is_quoted(fields) or has_other_separator(fields, origin, columns):
                return examples_of_rows(read_csv(path), path, columns, origin, skipped)
            if columns is None and not has_known_columns(fields, origin):
                columns = first_two_columns(fields, path)
                check_first_row(fields, path, origin)
                return _examples(read_tsv(path, header=False), path, columns, skipped)
            header = columns is None or not columns.numbered
            rows = read_tsv(path, header=header)
        case "csv":
            rows = read_csv(path)
        case "jsonl":
            rows = read_json_lines(path)
        case "tmx":
            rows = read_tmx(path)
        case "m2":
            rows = read_m2(path)
        case "parquet":
            columns = _checked_columns(next(read_parquet(path)), path, columns, origin)
            rows = read_parquet(path, _top_level(columns))
        case "arrow":
            columns = _checked_columns(next(read_arrow(path)), path, columns, origin)
            rows = read_arrow(path, _top_level(columns))
    return examples_of_rows(rows, path, columns, origin, skipped)


def _top_level(columns: Columns) -> list[str]:
    """The columns to read from the disk; for ``translation.de``, also ``translation``."""
    names = (columns.source, *columns.targets, *columns.all)
    return [part for name in names for part in (name, name.partition(".")[0])]


def _parallel_examples(paths: list[Path], skipped: SkippedRows | None) -> Iterator[Example]:
    for number, lines in enumerate(zip_longest(*map(read_lines, paths)), start=1):
        if None in lines:
            lengths = ", ".join(f"{path} {sum(1 for _ in read_lines(path))}" for path in paths)
            raise DataError(
                f"Parallel text files need the same number of lines; they have: {lengths}."
            )
        empty = next(
            (path for path, line in zip(paths, lines, strict=True) if not line.strip()), None
        )
        if empty is None:
            yield Example(lines[0], tuple(lines[1:]))
        elif skipped is not None:
            skipped.add(f"{empty}, line {number}")
        else:
            raise DataError(
                f"{empty}, line {number} is empty; remove that line from all files, or skip "
                "such lines (skip_empty, --skip-empty)."
            )


def _examples(
    rows: Iterable[Row], name: object, columns: Columns, skipped: SkippedRows | None
) -> Iterator[Example]:
    for row in rows:
        try:
            source = source_of(row, columns.source, name)
            targets = [text for column in columns.targets for text in targets_of(row, column, name)]
        except EmptyTextError:
            if skipped is None:
                raise
            skipped.add(f"{name}, {row.place}")
        else:
            weight = 1.0 if columns.weight is None else weight_of(row, columns.weight, name)
            yield Example(source, tuple(targets), weight)
