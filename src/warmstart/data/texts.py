"""The texts of a row: of one column, of several, or of members of an object; and its weight."""

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from textwrap import shorten
from typing import Final

from warmstart.data.columns import (
    fill_template,
    is_template,
    joined_columns,
    template_columns,
)
from warmstart.data.rows import Row, file_format
from warmstart.errors import DataError, did_you_mean

__all__ = ["EmptyTextError", "SurrogateError", "source_of", "targets_of", "value_of", "weight_of"]

logger = logging.getLogger(__name__)

_INDEX: Final = re.compile(r"-?\d{1,9}")


class EmptyTextError(DataError):
    """A row without a source or a target."""


class SurrogateError(DataError):
    """A text with a lone surrogate, which UTF-8 cannot encode."""


def source_of(row: Row, column: str, name: object) -> str:
    """The source text; a list of sentences is joined by spaces.

    Args:
        row: the row.
        column: name of the column, see `value_of`.
        name: name of the file, for errors.

    Raises:
        EmptyTextError: if there is no text.
        DataError: if the column is missing, or does not hold text.
    """
    return _text(_as_one(value_of(row, column, name)), row, column, name)


def targets_of(row: Row, column: str, name: object) -> list[str]:
    """The target texts, one or more, from a text or a list; otherwise as `source_of`."""
    value = value_of(row, column, name)
    parts = value if isinstance(value, list) else [value]
    # Lists of references are often padded to one length.
    given = [part for part in parts if not _is_missing(part)]
    return [_text(part, row, column, name) for part in given or [None]]


def weight_of(row: Row, column: str, name: object) -> float:
    """The weight of the example, from a number or its text; otherwise as `source_of`."""
    value = value_of(row, column, name)
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise DataError(
            f"{name}, {row.place}: the column {column!r} is {value!r}; a weight is a number of 0 "
            "or more, such as 0.5: half as much as others. Fix or remove the row."
        )
    return number


def _is_missing(value: object) -> bool:
    """Whether it is null, or NaN, which pandas writes for null."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@cache
def _warn_of_numbers(name: object, column: str) -> None:
    logger.warning("%s: the column %r has numbers, which are taken as texts", name, column)


def _text(value: object, row: Row, column: str, name: object) -> str:
    if _is_number(value) and not _is_missing(value):
        _warn_of_numbers(name, column)
        return str(value)
    where = f"{name}, {row.place}: the column {column!r}"
    if isinstance(value, str) and value.strip():
        if _is_unicode(value):
            return value
        raise SurrogateError(
            f"{where} has half of a surrogate pair, which is not a character. Fix or remove the "
            "row."
        )
    if _is_missing(value) or value == [] or isinstance(value, str):
        raise EmptyTextError(
            f"{where} is empty. Fix or remove the row, or skip such rows (skip_empty, "
            "--skip-empty)."
        )
    raise DataError(f"{where} is not text ({value!r:.40}). Fix or remove the row.")


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can encode the text, which is not certain for JSON's escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def value_of(row: Row, column: str, name: object) -> object:
    """The value of a column.

    Args:
        row: the row.
        column: a name; or ``a.b``, the member ``b`` of ``a``, and ``a.0``, its first item; or
            ``a + b``, the texts of both; or a template with columns in braces.
        name: name of the file, for errors.

    Raises:
        DataError: if there is no such column.
    """
    if column in row.values:
        return row.values[column]
    columns = joined_columns(column)
    if is_template(column):
        return _filled(row, column, name)
    if len(columns) > 1:
        return _joined(row, columns, name)
    value: object = row.values
    for part in column.split("."):
        if isinstance(value, list) and _INDEX.fullmatch(part):
            if not -len(value) <= int(part) < len(value):
                raise _missing_column(row, column, name)
            value = value[int(part)]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            raise _missing_column(row, column, name)
    return value


def _filled(row: Row, template: str, name: object) -> str | None:
    """A template with its columns, of which some may be empty; None if all are."""
    texts = {column: _joined(row, [column], name) for column in template_columns(template)}
    return fill_template(template, texts) if any(texts.values()) else None


def _joined(row: Row, columns: Sequence[str], name: object) -> str:
    """The nonempty texts of several columns, joined."""
    values = {column: _as_one(value_of(row, column, name)) for column in columns}
    return " ".join(
        _text(value, row, column, name).strip()
        for column, value in values.items()
        if not _is_missing(value) and not (isinstance(value, str) and not value.strip())
    )


def _as_one(value: object) -> object:
    """A list of sentences as one text."""
    if isinstance(value, list) and all(
        isinstance(part, str) or _is_missing(part) for part in value
    ):
        return " ".join(part for part in value if isinstance(part, str) and part.strip())
    return value


def _missing_column(row: Row, column: str, name: object) -> DataError:
    names = [shorten(name, width=40) for name in _column_names(row.values)]
    hint = ""
    if isinstance(name, Path) and file_format(name) == "tsv" and not column.isdecimal():
        hint = " If the first line is not a header, give columns by number, from 1."
    return DataError(
        f"{name}, {row.place}: there is no column {column!r}; {did_you_mean(column, names)}{hint}"
    )


def _column_names(values: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _column_names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
