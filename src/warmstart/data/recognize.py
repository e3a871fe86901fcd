"""Source and target columns by their names, and data of other tasks."""

import logging
import re
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
from warmstart.data.rows import split_otherwise
from warmstart.errors import DataError

__all__ = [
    "WIKISPLIT_SEPARATOR",
    "check_first_row",
    "first_two_columns",
    "has_known_columns",
    "has_other_separator",
    "recognize_columns",
]

WIKISPLIT_SEPARATOR: Final = "<::::>"  # between the two sentences of WikiSplit's published files

logger = logging.getLogger(__name__)
# A field that may be the name of a column: one to three words, such as "input_sentence".
_HEADER_FIELD: Final = re.compile(r"[^\W\d_]\w*(?:[ -]\w+){0,2}")
_LANGUAGES: Final = frozenset(
    "af am ar az be bg bn bs ca cs cy da de el en eo es et eu fa fi fr ga gl gu he hi hr hu hy id "
    "is it ja ka kk km kn ko ku ky la lb lo lt lv mg mk ml mn mr ms mt my nb ne nl nn no pa pl ps "
    "pt ro ru rw sd si sk sl so sq sr sv sw ta te tg th tl tr tt ug uk ur uz vi xh yi zh zu "
    "arabic bengali bulgarian catalan chinese croatian czech danish dutch english estonian finnish "
    "french german greek hebrew hindi hungarian icelandic indonesian irish italian japanese korean "
    "latin latvian lithuanian norwegian persian polish portuguese romanian russian serbian slovak "
    "slovenian spanish swahili swedish tamil telugu thai turkish ukrainian urdu vietnamese".split()
)
# Chats: column, key of the role, key of the text, the role that asks, the role that answers.
_CHATS: Final = (
    ("messages", "role", "content", "user", "assistant"),
    ("conversations", "from", "value", "human", "gpt"),
    ("conversation", "role", "content", "user", "assistant"),
)
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
    languages = _languages_of(list(values))
    if languages is not None and {"pairs", "translation"} & {*origin.kinds}:
        return Columns(source=languages[0], targets=(languages[1],))
    chat = _chat_columns(values)
    if chat is not None and "pairs" in origin.kinds:
        return chat
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
    return find_columns(names) is not None or _languages_of(names) is not None


def has_other_separator(fields: Sequence[str], origin: Origin, columns: Columns | None) -> bool:
    """Whether the first line of a TSV file has no tab, but the header of a CSV file.

    Args:
        fields: of the first line.
        origin: properties of the task's data.
        columns: the columns to take, if given.
    """
    if len(fields) != 1:
        return False
    names = [name.strip() for name in split_otherwise(fields[0])]
    if columns is not None:
        return {*columns.all} <= {*names}
    return len(names) > 1 and has_known_columns(names, origin)


def _languages_of(names: Sequence[str]) -> tuple[str, str] | None:
    """The names of two columns that are two languages."""
    if len(names) != 2 or not {name.lower() for name in names} <= _LANGUAGES:
        return None
    first, second = names
    return (first, second) if first.lower() != second.lower() else None


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
    if all(_HEADER_FIELD.fullmatch(field) for field in fields):
        logger.warning(
            "%s: took the first line, %r and %r, as a pair. If it is a header, name the columns: "
            "source=%s, target=%s",
            *(path, *fields, *fields),
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


def _chat_columns(values: Mapping[str, object]) -> Columns | None:
    """The first question and answer of a chat: ``messages: [{role: user, content: ...}, ...]``."""
    for column, role, content, user, assistant in _CHATS:
        turns = values.get(column)
        if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
            continue
        roles = [turn.get(role) for turn in turns]
        if user in roles and assistant in roles:
            return Columns(
                source=f"{column}.{roles.index(user)}.{content}",
                targets=(f"{column}.{roles.index(assistant)}.{content}",),
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
