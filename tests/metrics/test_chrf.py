import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from warmstart.metrics.chrf import Chrf
from warmstart.metrics.compute import compute

TEXTS = st.text(alphabet="abC d", max_size=12)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=4), st.booleans())
def test_equals_sacrebleu(examples: list[tuple[str, str, str]], lowercase: bool) -> None:
    outputs, first, second = map(list, zip(*examples, strict=True))
    expected = CHRF(lowercase=lowercase).corpus_score(outputs, [first, second])
    score = compute(
        Chrf(lowercase=lowercase), outputs, outputs, list(zip(first, second, strict=True))
    )
    assert score.value == pytest.approx(expected.score, abs=1e-9)
