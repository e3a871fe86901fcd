"""Settings dataclasses checked against their own annotations, and the docs of their fields.

A list of settings is written once, as a frozen dataclass. The annotation of a field has the allowed
values (``Annotated[int, Ge(1)]``, ``Literal["none", "source"]``), the string after it the meaning.
pydantic reads the annotations, for Python callers and for recipes; the command line reads both.
"""

import ast
import inspect
import operator
import textwrap
import types
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Protocol,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt

from warmstart.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import CoreSchema, ErrorDetails

__all__ = [
    "UNCHECKED",
    "Check",
    "Flags",
    "Hint",
    "Metavar",
    "check_values",
    "checked_values",
    "field_docs",
    "marks",
    "requirement",
    "validate",
]


class Settings(Protocol):
    """A dataclass instance."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


@dataclass(frozen=True, slots=True)
class Hint:
    """Ends the error message of a field: ``Annotated[float, Gt(0), Hint("1 is off")]``."""

    text: str


@dataclass(frozen=True, slots=True)
class Metavar:
    """Names the value of a field in a command's help: ``Annotated[int, Metavar("TOKENS")]``."""

    text: str


@dataclass(frozen=True, slots=True)
class Flags:
    """Names the option of a field: ``Annotated[bool, Flags("--lowercase/--cased")]``."""

    text: str


@dataclass(frozen=True, slots=True)
class Check:
    """Validates a field by a function: ``Annotated[str, Check(known_name)]``.

    Attributes:
        function: returns the valid value, or raises a `UsageError` with the whole message, or a
            ValueError with the advice at its end.
    """

    function: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> "CoreSchema":
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self._checked)

    def _checked(self, value: object) -> object:
        try:
            return self.function(value)
        except UsageError as error:
            raise _Sentence(str(error)) from None


class _Sentence(ValueError):
    """A complete error, which pydantic collects with others."""


UNCHECKED = Check(lambda value: value)
"""Leaves a field to other checks, such as any number of texts: ``Annotated[..., UNCHECKED]``."""


# pydantic's name of an error -> the advice in its message.
_WANTED: Mapping[str, str] = {
    "bool_parsing": "give true or false",
    "bool_type": "give true or false",
    "finite_number": "give a finite number",
    "float_parsing": "give a number",
    "float_type": "give a number",
    "int_from_float": "give a whole number",
    "int_parsing": "give a whole number",
    "int_type": "give a whole number",
    "path_type": "give a path",
    "sequence_str": "give a list",
    "string_type": "give a text",
    "too_short": "give at least one",
    "tuple_type": "give a list",
}


def validate(settings: Settings, *, prefix: str = "") -> None:
    """Checks every field against its annotation; call it first in ``__post_init__``.

    Types are strict: a text is never read as a number, nor true as 1. Numbers of other libraries
    become Python's, lists become tuples, and texts become paths, as annotated.

    Args:
        settings: an instance of a frozen dataclass.
        prefix: goes before the field's name in errors: ``"lora."``.

    Raises:
        UsageError: if a field is not as annotated; the message names all of them.
    """
    # Defaults are valid, and `--help` need not load pydantic for them.
    changed = {
        field.name: value
        for field in fields(settings)
        if (value := getattr(settings, field.name)) is not field.default
    }
    for name, value in checked_values(type(settings), changed, prefix=prefix).items():
        object.__setattr__(settings, name, value)


def checked_values(
    kind: type, given: Mapping[str, object], *, prefix: str = ""
) -> dict[str, object]:
    """Values of some fields of a settings dataclass, checked as in `validate`.

    Args:
        kind: the dataclass.
        given: values by field.
        prefix: goes before the field's name in errors.

    Raises:
        UsageError: if a field is not as annotated; the message names all of them.
    """
    values, problems = check_values(kind, given, prefix=prefix)
    if problems:
        raise UsageError(" ".join(problems))
    return values


def check_values(
    kind: type,
    given: Mapping[str, object],
    *,
    prefix: str = "",
    lenient: bool = False,
    shown: Callable[[object], str] = lambda value: f"{value!r:.80}",
) -> tuple[dict[str, object], list[str]]:
    """Values of some fields of a settings dataclass, and a message for each invalid one.

    Args:
        kind: the dataclass.
        given: values by field.
        prefix: goes before the field's name in messages.
        lenient: whether texts are read as numbers: YAML has no other way to write 1e-4.
        shown: formats an invalid value in a message.
    """
    if not given:
        return {}, []
    from pydantic import ValidationError

    plain = {name: _plain_number(value) for name, value in given.items()}
    try:
        checked = _model(kind, lenient).model_validate(plain)
    except ValidationError as error:
        by_field: dict[str, ErrorDetails] = {}
        for problem in error.errors(include_url=False):
            by_field.setdefault(str(problem["loc"][0]), problem)
        return {}, [
            _own_sentence(problem, prefix and f"{prefix}{name}: ")
            or f"{prefix}{name} is {shown(given[name])}; {_advice(kind, name, problem)}"
            for name, problem in by_field.items()
        ]
    return {name: getattr(checked, name) for name in given}, []


def requirement(annotation: object) -> str:
    """The range that an annotation allows, such as "at least 0 and below 1"; "" without one."""
    words = {Ge: "at least", Gt: "above", Le: "at most", Lt: "below"}
    bounds = {
        kind: getattr(mark, kind.__name__.lower())
        for kind in words
        for mark in marks(annotation)
        if isinstance(mark, kind)
    }
    if list(bounds) == [Ge]:
        return f"{bounds[Ge]:g} or more"
    return " and ".join(f"{words[kind]} {bound:g}" for kind, bound in bounds.items())


@cache
def field_docs(kind: type) -> Mapping[str, str]:
    """The string after each field of a settings dataclass, inherited ones too, as one line each.

    Raises:
        OSError: if the source code is not available.
    """
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if "__dataclass_fields__" not in vars(base):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(tree, ast.ClassDef)
        for statement, after in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(after, ast.Expr):
                assert isinstance(statement.target, ast.Name)
                value = after.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    docs[statement.target.id] = " ".join(value.value.split())
    return docs


def marks(annotation: object) -> list[object]:
    """Everything in the ``Annotated`` of an annotation, also within a union."""
    found: list[object] = []
    if get_origin(annotation) is Annotated:
        _, *metadata = get_args(annotation)
        for mark in metadata:
            found += mark if isinstance(mark, GroupedMetadata) else [mark]
    for inner in get_args(annotation):
        found += marks(inner)
    return found


def _own_sentence(problem: "ErrorDetails", start: str) -> str | None:
    """The message of a `Check`, if it has a complete one."""
    error = problem.get("ctx", {}).get("error")
    return f"{start}{error}" if isinstance(error, _Sentence) else None


def _advice(kind: type, name: str, problem: "ErrorDetails") -> str:
    """The advice in the message about an invalid value."""
    annotation = _hints(kind)[name]
    hint = "".join(f" {mark.text}." for mark in marks(annotation) if isinstance(mark, Hint))
    allowed = requirement(annotation)
    match problem["type"]:
        case "literal_error":
            choices = [str(choice) for choice in _choices(annotation)]
            return did_you_mean(str(problem["input"]), choices) + hint
        case "tuple_type" | "sequence_str" if isinstance(problem["input"], str):
            return f"give a list: [{problem['input']!r}].{hint}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"it must be {allowed}.{hint}"
        case "value_error":
            return f"{problem['ctx']['error']}{hint}"
    wanted = _WANTED.get(problem["type"], problem["msg"].lower())
    return f"{wanted}{f', {allowed}' if allowed else ''}.{hint}"


def _choices(annotation: object) -> list[object]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for inner in get_args(annotation) for choice in _choices(inner)]


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _field_hints(kind: type) -> dict[str, Any]:
    """The annotation of each field."""
    return {field.name: _hints(kind)[field.name] for field in fields(kind)}


@cache
def _model(kind: type, lenient: bool) -> "type[BaseModel]":
    """A pydantic model with the fields of a dataclass, all of them optional."""
    from pydantic import ConfigDict, create_model

    members: dict[str, Any] = {
        name: (_lenient(annotation), None) for name, annotation in _field_hints(kind).items()
    }
    # Strict: "3" is not a number, and 1 is not true.
    config = ConfigDict(strict=not lenient, allow_inf_nan=False, arbitrary_types_allowed=True)
    model: type[BaseModel] = create_model(kind.__name__, __config__=config, **members)
    return model


def _lenient(annotation: Any) -> Any:
    """Accepts a list for a tuple, and a text for a path."""
    from pydantic import Strict

    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is Path:
        return Annotated[Path, Strict(False)]
    if origin is tuple:
        return Annotated[annotation, Strict(False)]
    if origin is Annotated:
        return Annotated[(_lenient(inner[0]), *inner[1:])]
    if origin in (Union, types.UnionType):
        return Union[tuple(_lenient(member) for member in inner)]  # noqa: UP007
    return annotation


def _plain_number(value: object) -> object:
    """A number of another library, such as numpy's, as Python's own."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return operator.index(value)
    return float(value) if isinstance(value, Real) else value
