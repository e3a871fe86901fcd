"""Options of a verb, derived from the fields of settings dataclasses.

A field has all parts of an option: name, type with choices, range, default, and a docstring, which
becomes the help. In place of the options a verb has one parameter for each dataclass:

>>> @derived(decoding=Fields(GenerationConfig, default="the model's"), run=RunOptions)
... def generate(model: str, *, decoding: Mapping[str, Any], run: RunOptions) -> None: ...
"""

import functools
import inspect
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typer
from typer.models import OptionInfo

from warmstart.validation import Flags, Metavar, field_docs, marks, requirement

__all__ = ["Fields", "derived", "own_fields"]

R = TypeVar("R")

_METAVARS: Mapping[object, str] = {int: "N", float: "X", str: "TEXT", Path: "FILE"}
_SEQUENCES = (Sequence, tuple, list)
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Fields:
    """Some fields of a settings dataclass. The verb gets a mapping of the explicit ones.

    Attributes:
        settings: the dataclass.
        only: names of the fields; empty: all.
        without: names of fields without an option.
        default: the default in the help of every option, if not the field's: "the model's".
    """

    settings: type
    only: Collection[str] = ()
    without: Collection[str] = ()
    default: str = ""

    def parameters(self) -> list[inspect.Parameter]:
        """A parameter for each field, as typer reads them."""
        hints = get_type_hints(self.settings, include_extras=True)
        docs = field_docs(self.settings)
        return [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if _is_required(field) else None,
                annotation=_option(field, hints[field.name], docs[field.name], self.default),
            )
            for field in self._chosen()
        ]

    def given(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields with a value on the command line."""
        names = [field.name for field in self._chosen()]
        return {name: _converted(values[name]) for name in names if values[name] not in (None, [])}

    def _chosen(self) -> list[Field[Any]]:
        every = fields(self.settings)
        assert {*self.only, *self.without} <= {field.name for field in every}
        return [
            field
            for field in every
            if field.name not in self.without and (not self.only or field.name in self.only)
        ]


def derived(**sources: Fields | type) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Gives a verb options in place of some of its parameters.

    Args:
        sources: by parameter: `Fields`, passed as a mapping, or a dataclass, passed as an instance.
    """

    def decorate(verb: Callable[..., R]) -> Callable[..., R]:
        return _Derived(verb, sources)

    return decorate


class _Derived(Generic[R]):
    """A verb with derived options, derived on first use, since that takes time."""

    def __init__(self, verb: Callable[..., R], sources: Mapping[str, Fields | type]) -> None:
        functools.update_wrapper(self, verb, assigned=("__module__", "__name__", "__doc__"))
        self.verb = verb
        self.parameters = inspect.signature(verb, eval_str=True).parameters
        self.sources = sources
        self.fields = {
            name: source if isinstance(source, Fields) else Fields(source)
            for name, source in sources.items()
        }

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.Signature(
            [
                parameter
                for name, own in self.parameters.items()
                for parameter in (self.fields[name].parameters() if name in self.fields else [own])
            ]
        )

    @property
    def __annotations__(self) -> dict[str, Any]:  # type: ignore[override]
        return {name: own.annotation for name, own in self.__signature__.parameters.items()}

    def __call__(self, **values: Any) -> R:
        arguments = {}
        for name in self.parameters:
            source = self.sources.get(name)
            if source is None:
                arguments[name] = values[name]
                continue
            given = self.fields[name].given(values)
            arguments[name] = given if isinstance(source, Fields) else source(**given)
        return self.verb(**arguments)


def own_fields(settings: type) -> tuple[str, ...]:
    """Names of the fields that a dataclass does not inherit."""
    inherited = {
        name for base in settings.__mro__[1:] for name in getattr(base, "__dataclass_fields__", ())
    }
    return tuple(field.name for field in fields(settings) if field.name not in inherited)


def _option(field: Field[Any], hint: object, doc: str, default: str) -> object:
    """The annotation of a parameter: a type of the command line, and an option."""
    kind = _kind(hint)
    option = typer.Option(*_names(field, kind, hint, default))
    for mark in marks(hint):
        if isinstance(mark, Metavar):
            option.metavar = mark.text
        if isinstance(mark, OptionInfo):
            option = copy(mark)
    inner = get_args(kind)[0] if get_origin(kind) is list else kind
    option.metavar = option.metavar or _METAVARS.get(inner)
    option.help = _help(field, hint, doc, default)
    option.show_default = False
    return Annotated[kind if _is_required(field) else kind | None, option]


def _names(field: Field[Any], kind: object, hint: object, default: str) -> list[str]:
    for mark in marks(hint):
        if isinstance(mark, Flags):
            return [mark.text]
    name = field.name.replace("_", "-")
    # A flag is off, unless it has a default of its own that must be possible to turn off.
    both = kind is bool and (bool(default) or hint is not bool)
    return [f"--{name}/--no-{name}" if both else f"--{name}"]


def _kind(hint: object) -> Any:
    """The type of an option's value."""
    first, *others = _members(hint)
    if first is bool and others:  # bool | Literal["never"]
        return Literal[(*_TRUTH, *get_args(others[0]))]
    if others and get_origin(others[0]) in _SEQUENCES:  # int | Sequence[int]: a list with commas
        return str
    if get_origin(first) in _SEQUENCES:
        inner = _kind(get_args(first)[0])
        # typer has no lists of choices; the dataclass checks them.
        return list[str] if get_origin(inner) is Literal else list[inner]  # type: ignore[valid-type]
    assert first in (bool, int, float, str, Path) or get_origin(first) is Literal, hint
    return first


def _members(hint: object) -> list[object]:
    """The types of a value, except None."""
    if get_origin(hint) is Annotated:
        return _members(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return [inner for member in get_args(hint) for inner in _members(member)]
    return [] if hint is type(None) else [hint]


def _help(field: Field[Any], hint: object, doc: str, default: str) -> str:
    """The docstring of a field, with its default and its range."""
    notes = []
    if "default: " not in doc.lower() and not _is_required(field):
        notes.append(f"default: {default or _default(field)}")
    if allowed := requirement(hint):
        notes.append(allowed)
    first, *_ = _members(hint)
    if get_origin(first) in _SEQUENCES and get_origin(get_args(first)[0]) is Literal:
        notes.append(f"choices: {', '.join(get_args(get_args(first)[0]))}")
    return f"{doc} [{'; '.join(notes)}]" if notes else doc


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _default(field: Field[Any]) -> str:
    if isinstance(field.default, bool):
        return "yes" if field.default else "no"
    return "none" if field.default in (None, (), MISSING) else str(field.default)


def _converted(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return _TRUTH.get(value, value) if isinstance(value, str) else value
