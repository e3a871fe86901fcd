"""Functions take the fields of a settings dataclass as keywords."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from warmstart.errors import UsageError
from warmstart.keywords import changes, options


@dataclass(frozen=True, slots=True)
class Pair:
    KEYWORD_HINTS: ClassVar[Mapping[str, str]] = {"model": "give encoder and decoder."}

    encoder: str
    decoder: str
    share: str = "none"


@options(Pair)
def joined(pair: Pair) -> str:
    """Joins two names."""
    return f"{pair.encoder}+{pair.decoder}:{pair.share}"


class Model:
    @classmethod
    @options(Pair)
    def make(cls, pair: Pair) -> tuple[type["Model"], Pair]:
        """Makes one."""
        return cls, pair

    @changes(Pair)
    def generate(self, texts: Sequence[str], changed: Mapping[str, Any]) -> list[Any]:
        """Writes."""
        return [*texts, dict(changed)]


def test_a_function_is_called_with_the_object() -> None:
    assert joined("a", "b") == joined(encoder="a", decoder="b") == "a+b:none"
    assert joined("a", "b", share="all") == "a+b:all"
    assert joined.__doc__ == "Joins two names."


def test_a_class_method_is_called_with_its_class_and_the_object() -> None:
    assert Model.make("a", decoder="b") == (Model, Pair("a", "b"))


def test_changes_are_the_keywords_that_were_given() -> None:
    assert Model().generate(["x"], share="all") == ["x", {"share": "all"}]
    assert Model().generate(texts=["x"]) == ["x", {}]  # type: ignore[call-arg]


def test_the_signature_lists_every_field() -> None:
    assert list(inspect.signature(joined).parameters) == ["encoder", "decoder", "share"]
    assert list(inspect.signature(Model().generate).parameters) == [
        "texts",
        "encoder",
        "decoder",
        "share",
    ]
    assert inspect.signature(joined).parameters["share"].default == "none"


@pytest.mark.parametrize("function", [joined, Model().generate])
def test_an_unknown_keyword_is_answered_with_the_nearest(function: Any) -> None:
    with pytest.raises(UsageError, match="has no option 'shared'; did you mean 'share'"):
        function(["x"], shared="all")
    with pytest.raises(UsageError, match="'model'; give encoder and decoder"):
        function(["x"], model="all")
