"""Functions that take the fields of a settings dataclass as keywords.

The fields are listed once, in the dataclass; type checkers, editors and ``help()`` see them in the
signature of every function that takes them.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, get_type_hints, overload

from warmstart.errors import UsageError, did_you_mean

__all__ = ["changes", "check_names", "options"]

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")
S = TypeVar("S")


class options(Generic[P, S]):
    """Gives a function the fields of a dataclass as parameters, and calls it with an instance.

    >>> @options(DataOptions)
    ... def load_task(options: DataOptions) -> Task: ...
    >>> load_task("wikisplit", fraction=0.1)

    A method takes its object or class first: ``def warm_start(cls, options: Pair)``.
    """

    def __init__(self, settings: Callable[P, S]) -> None:
        self.settings = settings

    @overload
    def __call__(self, function: Callable[[S], R]) -> Callable[P, R]: ...
    @overload
    def __call__(self, function: Callable[[A, S], R]) -> Callable[Concatenate[A, P], R]: ...
    def __call__(self, function: Callable[..., R]) -> Callable[..., R]:
        """Decorates a function."""
        leading = list(inspect.signature(function).parameters.values())[:-1]

        @functools.wraps(function)
        def wrapper(*positional: Any, **named: Any) -> R:
            check_names(named, cast(type, self.settings), function.__name__)
            own, rest = positional[: len(leading)], positional[len(leading) :]
            return function(*own, self.settings(*rest, **named))

        return _signed(wrapper, leading, cast(type, self.settings))


class changes(Generic[P]):
    """Gives a function the fields of a dataclass as keywords, and calls it with the explicit ones.

    For a function whose defaults are not the dataclass's, such as decoding with the settings saved
    with a model. It takes one or two positional parameters before them.

    >>> @changes(RequestOptions)
    ... def generate(self, texts: Iterable[str], changed: Mapping[str, Any]) -> list[str]: ...
    >>> model.generate(texts, num_beams=4)
    """

    def __init__(self, settings: Callable[P, object]) -> None:
        self.settings = settings

    @overload
    def __call__(
        self, function: Callable[[A, Mapping[str, Any]], R]
    ) -> Callable[Concatenate[A, P], R]: ...
    @overload
    def __call__(
        self, function: Callable[[A, B, Mapping[str, Any]], R]
    ) -> Callable[Concatenate[A, B, P], R]: ...
    def __call__(self, function: Callable[..., R]) -> Callable[..., R]:
        """Decorates a function."""
        *leading, last = inspect.signature(function).parameters.values()
        settings = cast(type, self.settings)
        name = function.__qualname__.split(".")[0 if function.__name__ == "__init__" else -1]

        @functools.wraps(function)
        def wrapper(*positional: Any, **named: Any) -> R:
            own = {part.name: named.pop(part.name) for part in leading if part.name in named}
            check_names(named, settings, name)
            return function(*positional, **own, **{last.name: named})

        return _signed(wrapper, leading, settings)


def check_names(names: Iterable[str], settings: type, function: str) -> None:
    """Rejects keywords that a settings dataclass does not have.

    Args:
        names: the keywords.
        settings: the dataclass; its optional ``KEYWORD_HINTS`` map names of other libraries to
            advice.
        function: name of the function, for the error.

    Raises:
        UsageError: if a name is unknown; the message has the nearest existing one.
    """
    allowed = [field.name for field in fields(settings) if field.init]
    hints: Mapping[str, str] = getattr(settings, "KEYWORD_HINTS", {})
    for name in names:
        if name not in allowed:
            hint = hints.get(name) or did_you_mean(name, allowed)
            raise UsageError(f"{function} has no option {name!r}; {hint}")


def _signed(
    wrapper: Callable[..., R], leading: Iterable[inspect.Parameter], settings: type
) -> Callable[..., R]:
    """Shows the fields of the dataclass in the signature of a function."""
    plain = get_type_hints(settings)  # without ranges and checks, which are noise in a signature
    parameters = [
        parameter.replace(annotation=plain.get(parameter.name, parameter.annotation))
        for parameter in inspect.signature(settings).parameters.values()
    ]
    wrapper.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*leading, *parameters], return_annotation=inspect.signature(wrapper).return_annotation
    )
    return wrapper
