"""Source and target columns by their names, and data of other tasks."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from warmstart.data.columns import (
    KINDS,
    ColumnMapping,
    Columns,
    Kind,
    find_columns,
)
from warmstart.data.origin import Origin
from warmstart.errors import DataError

__all__ = [
    "WIKISPLIT_SEPARATOR",
    "check_first_row",
    "first_two_columns",
    "has_known_columns",
    "recognize_columns",
]

WIKISPLIT_SEPARATOR: Final = "<::::>"  # between the two sentences of WikiSplit's published files

logger = logging.getLogger(__name__)
# Tasks that are not named after their kind of data.
_TASKS: Final[Mapping[Kind, str]] = {"splitting": "wikisplit", "fusion": "discofuse"}


def recognize_columns(values: Mapping[str, object], name: object, origin: Origin) -> Columns:
    """The columns to take of a file, from its first row.

    Args:
        values: the first row.
        name: the file's name, for errors.
        origin: properties of the task's data.

    Raises:
        DataError: if no columns are known, or they hold data of another task.
    """
    if "translation" in origin.kinds:
        columns = _language_columns(values, name, origin.languages)
        if columns is not None:
            return columns
    # The task's own kinds first: a summary may be next to a column "source", the newspaper.
    own = tuple(kind for kind in origin.kinds if kind != "pairs")
    found = None if origin.kinds == KINDS else find_columns(values, own)
    found = found or find_columns(values, origin.kinds)
    if found is not None:
        return found.columns
    other = _other_task(values)
    if other is not None:
        kind, columns = other
        raise _data_of_another_task(kind, columns, name, origin)
    raise DataError(
        f"{name} has the columns {', '.join(values)}, and no pair of well-known names among them; "
        'name those to take, for example {"source": "complex", "target": "simple"}.'
    )


def has_known_columns(names: Iterable[str], origin: Origin) -> bool:
    """Whether the names are a known header, of this task or another."""
    names = list(names)
    if origin.languages is not None and {*origin.languages} <= {*names}:
        return True
    return find_columns(names) is not None


def first_two_columns(fields: Sequence[str], path: Path) -> Columns:
    """The columns of a TSV file without a known header.

    Raises:
        DataError: if it has more or fewer than two columns.
    """
    if len(fields) != 2:
        raise DataError(
            f"{path} has {len(fields)} columns and no header with well-known names; a TSV file "
            'needs two columns, or a mapping such as {"source": 1, "target": 3}.'
        )
    logger.info("%s: no header; took the first column as the source, the second as target", path)
    return Columns(source="1", targets=("2",))


def check_first_row(fields: Sequence[str], path: Path, origin: Origin) -> None:
    """Rejects WikiSplit's files, which have no header, for tasks other than splitting.

    Raises:
        DataError: if it is such a file.
    """
    if "splitting" not in origin.kinds and WIKISPLIT_SEPARATOR in fields[-1]:
        raise DataError(
            f"{path} has {WIKISPLIT_SEPARATOR} between sentences, which is data for splitting, "
            f"and the task takes data for {_names(origin.kinds)}; use the task wikisplit."
        )


def _language_columns(
    values: Mapping[str, object], name: object, languages: tuple[str, str] | None
) -> Columns | None:
    """``translation: {de: ..., en: ...}``, or columns named after the task's languages."""
    translation = values.get("translation")
    inside = list(translation) if isinstance(translation, Mapping) else []
    if languages is None:
        if len(inside) > 2:
            raise DataError(
                f"{name} is in {', '.join(inside)}; name two of its languages after the task, as "
                f"in translation/{'-'.join(inside[:2])}."
            )
        if len(inside) < 2:
            return None
        source, target = inside
        logger.info(
            "%s: took the languages in the data's order; translation/%s-%s is the other direction",
            name,
            target,
            source,
        )
        return Columns(source=f"translation.{source}", targets=(f"translation.{target}",))
    source, target = languages
    if source in values and target in values:
        return Columns(source=source, targets=(target,))
    if {source, target} <= {*inside}:
        return Columns(source=f"translation.{source}", targets=(f"translation.{target}",))
    if inside:
        raise DataError(
            f"{name} is a translation of {' and '.join(inside)}, and the task is {source} to "
            f"{target}; name its languages after the task, as in translation/"
            f"{'-'.join(inside[:2])}."
        )
    return None


def _other_task(values: Mapping[str, object]) -> tuple[Kind, Columns] | None:
    translation = values.get("translation")
    if isinstance(translation, Mapping) and len(translation) >= 2:
        source, target, *_ = translation
        columns = Columns(source=f"translation.{source}", targets=(f"translation.{target}",))
        return "translation", columns
    known = find_columns(values)
    return None if known is None else (known.kind, known.columns)


def _data_of_another_task(kind: Kind, columns: Columns, name: object, origin: Origin) -> DataError:
    mapping: ColumnMapping = {"source": columns.source, "target": columns.targets[0]}
    return DataError(
        f"{name} has the columns {columns.source!r} and {columns.targets[0]!r}, which is data for "
        f"{kind}, and the task takes data for {_names(origin.kinds)}; use the task "
        f"{_TASKS.get(kind, kind)}, or name the columns to use them anyway: "
        f"source={mapping['source']}, target={mapping['target']}."
    )


def _names(kinds: Sequence[Kind]) -> str:
    return " and ".join(kind for kind in kinds if kind != "pairs") or "pairs"
