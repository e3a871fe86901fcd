import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.ter import TER
from tests.support.scoring import scored

from warmstart.metrics.ter import Ter

TEXTS = st.lists(st.sampled_from(["a", "b", "C", "d", "e."]), max_size=8).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=4), st.booleans())
def test_equals_sacrebleu(examples: list[tuple[str, str, str]], lowercase: bool) -> None:
    outputs, first, second = map(list, zip(*examples, strict=True))
    expected = TER(case_sensitive=not lowercase).corpus_score(outputs, [first, second])
    references = list(zip(first, second, strict=True))
    score = scored(Ter(lowercase=lowercase), None, outputs, references)
    assert score.value == pytest.approx(expected.score, abs=1e-9)


def test_more_edits_than_words_are_more_than_a_hundred_percent() -> None:
    score = scored(Ter(), None, ["a b c d e", "x"], [["f"], ["x"]], per_example=True)
    assert score.value == pytest.approx(250.0)
    assert score.per_example == (500.0, 0.0)


def test_signature_is_that_of_sacrebleu() -> None:
    theirs = TER()
    theirs.corpus_score(["a b"], [["a b"]])
    assert scored(Ter(), None, ["a b"], [["a b"]]).signature == f"ter|{theirs.get_signature()}"
