"""Sections of a recipe, checked against the dataclasses that they stand for."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from warmstart.errors import UsageError, did_you_mean
from warmstart.validation import check_values

__all__ = ["check_names", "read_changes", "read_section"]

T = TypeVar("T")


def read_section(kind: type[T], values: object, place: str, problems: list[str]) -> T | None:
    """A settings dataclass from the values of a section.

    Args:
        kind: the dataclass.
        values: from YAML.
        place: name of the section: "training.lora".
        problems: gets a sentence for each problem.

    Returns:
        None if there are problems.
    """
    before = len(problems)
    checked = dict(read_changes(kind, values, place, problems) or {})
    for field in fields(kind):  # type: ignore[arg-type]
        required = field.default is MISSING and field.default_factory is MISSING
        if required and isinstance(values, Mapping) and field.name not in values:
            problems.append(f"{place}.{field.name} is missing")
    if len(problems) > before:
        return None
    try:
        return kind(**checked)
    except UsageError as error:  # of several fields
        problems.append(f"{place}: {error}")
        return None


def read_changes(
    kind: type, values: object, place: str, problems: list[str]
) -> Mapping[str, Any] | None:
    """Some fields of a settings dataclass; arguments and result as of `read_section`."""
    if not isinstance(values, Mapping):
        problems.append(f"{place} is {_shown(values)}; give a section, with keys of its own")
        return None
    before = len(problems)
    names = [field.name for field in fields(kind)]
    check_names(values, names, place, problems)
    hints = get_type_hints(kind)
    given = {}
    for name in names:
        if name not in values:
            continue
        given[name] = values[name]
        inner = [option for option in get_args(hints[name]) if is_dataclass(option)]
        if inner and isinstance(values[name], Mapping):
            section: type = inner[0]  # type: ignore[assignment]
            given[name] = read_section(section, values[name], f"{place}.{name}", problems)
    checked, wrong = check_values(kind, given, prefix=f"{place}.", lenient=True, shown=_shown)
    problems += wrong
    return checked if len(problems) == before else None


def check_names(
    values: Iterable[object], allowed: list[str], place: str, problems: list[str]
) -> None:
    """Adds a sentence for each key that does not exist."""
    for name in values:
        if name not in allowed:
            problems.append(f"{place} has no '{name}'; {did_you_mean(str(name), allowed)}")


def _shown(value: object) -> str:
    """A value as in YAML, or the beginning of a long one."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
