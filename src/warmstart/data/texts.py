"""The texts of a row: of one column, of several, or of members of an object; and its weight."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import shorten

from warmstart.data.columns import joined_columns
from warmstart.data.rows import Row, file_format
from warmstart.errors import DataError, did_you_mean

__all__ = ["EmptyTextError", "source_of", "targets_of", "value_of", "weight_of"]


class EmptyTextError(DataError):
    """A row without a source or a target."""


def source_of(row: Row, column: str, name: object) -> str:
    """The source text; a list of sentences is joined by spaces.

    Args:
        row: Has the column.
        column: Its name, see `value_of`.
        name: Of the file, for errors.

    Raises:
        EmptyTextError: There is no text.
        DataError: The column is missing, or holds something else.
    """
    return _text(_as_one(value_of(row, column, name)), row, column, name)


def targets_of(row: Row, column: str, name: object) -> list[str]:
    """The target texts, one or more, of a text or a list of them; otherwise as `source_of`."""
    value = value_of(row, column, name)
    parts = value if isinstance(value, list) and value else [value]
    return [_text(part, row, column, name) for part in parts]


def weight_of(row: Row, column: str, name: object) -> float:
    """The weight of the example, a number or the text of one; otherwise as `source_of`."""
    value = value_of(row, column, name)
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise DataError(
            f"{name}, {row.place}: the column {column!r} is {value!r}; a weight is a number from 0 "
            "on, such as 0.5: half as much as others. Mend or remove the row."
        )
    return number


def _text(value: object, row: Row, column: str, name: object) -> str:
    if isinstance(value, str) and value.strip() and _is_unicode(value):
        return value
    if isinstance(value, str) and value.strip():
        wrong = "has half of a surrogate pair, which is no character"
    elif value is None or value == [] or isinstance(value, str):
        wrong = "is empty"
    else:
        wrong = f"is not text ({value!r:.40})"
    kind = EmptyTextError if wrong == "is empty" else DataError
    raise kind(
        f"{name}, {row.place}: the column {column!r} {wrong}, and has to be text. Mend or "
        "remove the row"
        + (
            ", or have such rows left out (skip_empty, --skip-empty)."
            if kind is EmptyTextError
            else "."
        )
    )


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold the text: JSON's escapes can write what it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def value_of(row: Row, column: str, name: object) -> object:
    """What a column holds.

    Args:
        row: Its values.
        column: A name; or ``a.b``, the member ``b`` of ``a``; or ``a + b``, the texts of both.
        name: Of the file, for errors.

    Raises:
        DataError: There is no such column.
    """
    if column in row.values:
        return row.values[column]
    columns = joined_columns(column)
    if len(columns) > 1:
        return _joined(row, columns, name)
    value: object = row.values
    for part in column.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise _missing_column(row, column, name)
        value = value[part]
    return value


def _joined(row: Row, columns: Sequence[str], name: object) -> str:
    """The texts of several columns, those that are not empty."""
    values = {column: _as_one(value_of(row, column, name)) for column in columns}
    return " ".join(
        _text(value, row, column, name).strip()
        for column, value in values.items()
        if value is not None and not (isinstance(value, str) and not value.strip())
    )


def _as_one(value: object) -> object:
    """A list of sentences as one text."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(part for part in value if part.strip())
    return value


def _missing_column(row: Row, column: str, name: object) -> DataError:
    names = [shorten(name, width=40) for name in _column_names(row.values)]
    hint = ""
    if isinstance(name, Path) and file_format(name) == "tsv" and not column.isdecimal():
        hint = " If the first line is no header, give columns by number, from 1."
    return DataError(
        f"{name}, {row.place}: there is no column {column!r}; {did_you_mean(column, names)}{hint}"
    )


def _column_names(values: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _column_names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
