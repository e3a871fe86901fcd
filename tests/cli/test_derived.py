"""Options that are derived from the fields of dataclasses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from annotated_types import Ge
from typer.testing import CliRunner

from warmstart.cli.derived import Fields, derived, own_fields
from warmstart.validation import Flags, Metavar


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    beams: Annotated[int, Ge(1)] = 4
    """Beams; 1 is greedy search."""
    stop: bool | Literal["never"] = False
    """When to stop."""
    sample: bool = False
    """Draw tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Base):
    kind: Literal["a", "b"] = "a"
    """Which kind."""
    lower: Annotated[bool | None, Flags("--lower/--cased")] = None
    """Lower-case texts. Default: each metric's own."""
    folder: Annotated[Path | None, typer.Option("--output", "-o", metavar="DIR")] = None
    """Folder to write. Default: none."""
    layers: Annotated[int | Sequence[int] | None, Metavar("N|I,J,...")] = None
    """Layers; default: all."""
    names: Sequence[str] = ()
    """Names."""
    parts: tuple[Literal["x", "y"], ...] = ()
    """Parts."""


def run(verb: Any, *arguments: str) -> Any:
    app = typer.Typer(rich_markup_mode=None)
    app.command()(verb)
    found: list[Any] = []
    result = CliRunner().invoke(app, arguments, obj=found, env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--beams", "2"], {"beams": 2}),
        (["--stop", "never"], {"stop": "never"}),
        (["--stop", "true", "--sample"], {"stop": True, "sample": True}),
        (["--kind", "b", "-o", "x"], {"kind": "b", "folder": Path("x")}),
        (["--layers", "0,2"], {"layers": "0,2"}),
        (["--cased"], {"lower": False}),
        (["--names", "p", "--names", "q"], {"names": ("p", "q")}),
        (["--parts", "x"], {"parts": ("x",)}),
    ],
)
def test_a_verb_gets_what_is_given(arguments: list[str], expected: dict[str, object]) -> None:
    got: list[Mapping[str, Any]] = []

    @derived(given=Fields(Settings))
    def verb(*, given: Mapping[str, Any]) -> None:
        got.append(given)

    assert run(verb, *arguments).exit_code == 0
    assert got == [expected]


def test_a_verb_gets_an_instance_and_its_own_options() -> None:
    got: list[object] = []

    @derived(settings=Settings)
    def verb(name: str, *, settings: Settings, loud: bool = False) -> None:
        got.extend([name, settings, loud])

    assert run(verb, "me", "--beams", "3", "--names", "p", "--loud").exit_code == 0
    assert got == ["me", Settings(beams=3, names=("p",)), True]


def test_help_has_text_default_range_and_choices() -> None:
    @derived(given=Fields(Settings))
    def verb(*, given: Mapping[str, Any]) -> None:
        """Do it."""

    text = " ".join(run(verb, "--help").stdout.split())
    for words in (
        "Do it.",
        "--beams N Beams; 1 is greedy search. [default: 4; 1 or more]",
        "--stop <true|false|never> When to stop. [default: no]",
        "--sample Draw tokens. [default: no]",
        "--kind <a|b> Which kind. [default: a]",
        "--lower / --cased Lower-case texts. Default: each metric's own.",
        "-o, --output DIR Folder to write. Default: none.",
        "--layers N|I,J,... Layers; default: all.",
        "--parts TEXT Parts. [default: none; choices: x, y]",
    ):
        assert words in text, text


def test_defaults_may_be_those_of_something_else() -> None:
    @derived(given=Fields(Settings, only=("beams", "sample"), default="the model's"))
    def verb(*, given: Mapping[str, Any]) -> None:
        """Do it."""

    text = " ".join(run(verb, "--help").stdout.split())
    assert "[default: the model's; 1 or more]" in text
    assert "--sample / --no-sample Draw tokens. [default: the model's]" in text
    assert "--kind" not in text


def test_a_wrong_choice_is_refused_by_the_command_line() -> None:
    @derived(given=Fields(Settings, without=("parts",)))
    def verb(*, given: Mapping[str, Any]) -> None:
        """Do it."""

    assert run(verb, "--kind", "c").exit_code == 2
    assert run(verb, "--parts", "x").exit_code == 2


def test_own_fields_are_those_not_inherited() -> None:
    assert own_fields(Settings) == ("kind", "lower", "folder", "layers", "names", "parts")
    assert own_fields(Base) == ("beams", "stop", "sample")
