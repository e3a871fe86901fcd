"""The figure from edits; what ERRANT itself finds is its own matter, and its model no package."""

import sys
from dataclasses import dataclass
from difflib import SequenceMatcher
from types import SimpleNamespace

import pytest
from tests.support.scoring import scored

from warmstart.errors import UsageError
from warmstart.metrics import errant
from warmstart.metrics.errant import Errant


@dataclass(frozen=True)
class Edit:
    o_start: int
    o_end: int
    c_str: str


class Annotator:
    """Finds edits by words, in the place of ERRANT's linguistic alignment."""

    def parse(self, text: str) -> tuple[str, ...]:
        return tuple(text.split())

    def annotate(self, source: tuple[str, ...], text: tuple[str, ...]) -> list[Edit]:
        codes = SequenceMatcher(None, source, text, autojunk=False).get_opcodes()
        return [Edit(a, b, " ".join(text[c:d])) for tag, a, b, c, d in codes if tag != "equal"]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    errant._edits.cache_clear()
    monkeypatch.setitem(sys.modules, "errant", SimpleNamespace(load=lambda _: Annotator()))
    monkeypatch.setattr(errant, "version", lambda _: "3.0.2")


@pytest.mark.usefixtures("installed")
def test_precision_counts_twice_as_much_as_recall() -> None:
    sources = ["he go to school yesterday", "she like it", "fine as it is"]
    outputs = ["he went to school yesterday", "she like them", "fine as it is"]
    references = [["he went to the school yesterday"], ["she likes it"], ["fine as it is"]]
    score = scored(Errant(), sources, outputs, references, per_example=True)
    precision, recall = 1 / 2, 1 / 3  # of two edits one is right; three were wanted
    expected = 1.25 * precision * recall / (0.25 * precision + recall)
    assert score.value == pytest.approx(100 * expected)
    assert score.per_example is not None
    assert score.per_example[1:] == (0, 100)


@pytest.mark.usefixtures("installed")
def test_each_sentence_has_its_best_reference() -> None:
    score = scored(Errant(), ["a b c"], ["a x c"], [["a b y", "a x c"]])
    assert score.value == 100


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    errant._edits.cache_clear()
    monkeypatch.setitem(sys.modules, "errant", None)
    with pytest.raises(UsageError, match=r"pip install 'warmstart\[errant\]'"):
        scored(Errant(), ["a"], ["b"], [["b"]])
