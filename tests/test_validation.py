"""Settings are checked against their annotations, and their docs are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt

from warmstart.errors import UsageError
from warmstart.validation import Check, Hint, field_docs, requirement, validate


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    beams: Annotated[int, Ge(1)] = 1
    """Beams; 1 is greedy search."""

    penalty: Annotated[float, Interval(gt=0, le=9), Hint("1 is off")] = 1.0
    """Divides the score,
    and goes on in a second line."""

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Child(Base):
    size: Annotated[int, Ge(1)] | None = None
    """Tokens."""

    draft: Literal["none", "source"] = "none"
    """Where drafts come from."""

    sample: bool = False
    """Draws tokens."""

    folder: Path = Path("out")
    """Where to write."""

    parts: tuple[Literal["encoder", "decoder"], ...] = ()
    """Parts that stay."""

    text: str | None = None
    """Any text."""


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("beams", 0, "beams is 0; it must be 1 or more."),
        ("beams", True, "beams is True; give a whole number, 1 or more."),
        ("beams", "3", "beams is '3'; give a whole number, 1 or more."),
        ("beams", 2.0, "beams is 2.0; give a whole number, 1 or more."),
        ("beams", None, "beams is None; give a whole number, 1 or more."),
        ("penalty", 0, "penalty is 0; it must be above 0 and at most 9. 1 is off."),
        ("penalty", 10.5, "penalty is 10.5; it must be above 0 and at most 9. 1 is off."),
        ("penalty", float("nan"), "penalty is nan; give a finite number, above 0 and at most 9."),
        ("penalty", True, "penalty is True; give a number"),
        ("size", 0, "size is 0; it must be 1 or more."),
        ("size", "all", "size is 'all'; give a whole number"),
        ("draft", "sourc", "draft is 'sourc'; did you mean 'source'? Allowed: none, source."),
        ("sample", 1, "sample is 1; give true or false."),
        ("folder", 3, "folder is 3; give a path."),
        ("parts", "encoder", "parts is 'encoder'; give a list: ['encoder']."),
        ("parts", ["encodr"], "parts is ['encodr']; did you mean 'encoder'?"),
        ("text", 3, "text is 3; give a text."),
    ],
)
def test_a_wrong_value_is_a_sentence(field: str, value: object, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        Child(**{field: value})
    assert str(caught.value).startswith(sentence)


def test_every_wrong_field_is_named() -> None:
    with pytest.raises(UsageError, match=r"beams is 0; .* size is -1;"):
        Child(beams=0, size=-1)


def test_right_values_become_the_annotated_types() -> None:
    made = Child(
        beams=np.int64(3),  # type: ignore[arg-type]
        penalty=np.float32(0.5),  # type: ignore[arg-type]
        folder="somewhere",  # type: ignore[arg-type]
        parts=["decoder", "encoder"],  # type: ignore[arg-type]
        size=7,
    )
    assert (made.beams, type(made.beams)) == (3, int)
    assert (made.penalty, type(made.penalty)) == (0.5, float)
    assert made.folder == Path("somewhere")
    assert made.parts == ("decoder", "encoder")
    assert Child(penalty=2).penalty == 2
    assert Child(size=None).size is None


def test_ranges_are_named_in_words() -> None:
    assert requirement(Annotated[int, Ge(2)]) == "2 or more"
    assert requirement(Annotated[float, Gt(0), Lt(1)] | None) == "above 0 and below 1"
    assert requirement(Annotated[float, Ge(0), Le(1)]) == "at least 0 and at most 1"
    assert requirement(int) == ""


def test_field_docs_are_the_strings_after_the_fields() -> None:
    docs = field_docs(Child)
    assert list(docs)[:3] == ["beams", "penalty", "size"]
    assert docs["penalty"] == "Divides the score, and goes on in a second line."
    assert docs["text"] == "Any text."


def test_a_check_replaces_the_sentence_and_the_value() -> None:
    def even(number: int) -> int:
        if number % 2:
            raise UsageError(f"{number} is odd; give an even number.")
        return number // 2

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Checked:
        half: Annotated[int, Check(even)] = 0
        several: Sequence[Annotated[int, Check(even)]] = ()

        def __post_init__(self) -> None:
            validate(self)

    assert Checked(half=6, several=[2, 4]) == Checked(half=6, several=[2, 4])
    assert (Checked(half=6).half, list(Checked(several=[2, 4]).several)) == (3, [1, 2])
    with pytest.raises(UsageError) as caught:
        Checked(half=3, several=[2, 5])
    assert str(caught.value) == "3 is odd; give an even number. 5 is odd; give an even number."
