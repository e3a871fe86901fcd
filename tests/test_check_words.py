"""The search for wording that CONTRIBUTING.md rules out."""

import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "check_words"
SCRIPT_NAMES = runpy.run_path(str(SCRIPT))
slips: Callable[..., Iterator[tuple[int, str]]] = SCRIPT_NAMES["slips"]


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("It tells which.", "tells"),
        ("told_of_memory = 1", "told"),
        ("As Said above", "Said"),
        ("The token behind it", "behind"),
        ("for so\n    # many steps", "so\n    # many"),
        ("There is none.", "is none"),
        ("for an output that\nthere is not", "that\nthere is not"),
        ("The run goes on.", "goes on"),
        ("what_is_no_text", "what_is_no"),
    ],
)
def test_slips_in_prose_names_and_wrapped_comments(text: str, phrase: str) -> None:
    assert [each for _, each in slips(text)] == [phrase]


@pytest.mark.parametrize(
    "text", ["retold", "besides", "tellurium", "amended", "a category on its own", "x is None"]
)
def test_words_that_contain_a_slip(text: str) -> None:
    assert not list(slips(text))


def test_lines_are_counted_from_one() -> None:
    assert list(slips("a\nb told\n\nsaid")) == [(2, "told"), (4, "said")]


def test_an_allowed_use_covers_only_its_own_text() -> None:
    text = "beside the code, beside the point"
    assert list(slips(text, ("beside the code",))) == [(1, "beside")]


def test_hits_are_printed_with_file_and_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for text, status, printed in (
        ("A run\n", 0, ""),
        ("A run\ngoes\non.\n", 1, f"{page.as_posix()}:2: goes on: goes\n"),
    ):
        page.write_text(text, encoding="utf-8")
        run = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True)
        assert (run.returncode, run.stdout) == (status, printed)
