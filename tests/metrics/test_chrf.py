import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF
from tests.support.scoring import scored

from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.chrf import Chrf

TEXTS = st.text(alphabet="abC d.(", max_size=12)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([0, 1, 2]),
)
def test_equals_sacrebleu(
    examples: list[tuple[str, str, str]], lowercase: bool, words: int
) -> None:
    outputs, first, second = map(list, zip(*examples, strict=True))
    chrf = CHRF(lowercase=lowercase, word_order=words)
    expected = chrf.corpus_score(outputs, [first, second])
    score = scored(
        Chrf(lowercase=lowercase, word_order=words),
        outputs,
        outputs,
        list(zip(first, second, strict=True)),
        per_example=True,
    )
    assert score.value == pytest.approx(expected.score, abs=1e-9)
    each = [chrf.sentence_score(o, [a, b]).score for o, a, b in examples]
    assert score.per_example == pytest.approx(each, abs=1e-9)


def test_equals_sacrebleu_on_many_alphabets() -> None:
    """More characters than n-grams of six have bits for."""
    generator = random.Random(0)
    texts = [
        "".join(chr(generator.randrange(0x4E00, 0x9FFF)) for _ in range(30)) + "end 😀"
        for _ in range(300)
    ]
    outputs = [text[:20] + text[21:] for text in texts]
    score = scored(Chrf(), None, outputs, [[text, "x"] for text in texts])
    expected = CHRF().corpus_score(outputs, [texts, ["x"] * len(texts)])
    assert score.value == pytest.approx(expected.score, abs=1e-9)


@pytest.mark.parametrize(("name", "words"), [("chrf", 0), ("chrf++", 2)])
def test_signature_is_that_of_sacrebleu(name: str, words: int) -> None:
    theirs = CHRF(word_order=words)
    theirs.corpus_score(["a b c d"], [["a b c d"]])
    ours = scored(get_metric(name), None, ["a b c d"], [["a b c d"]]).signature
    assert ours == f"{name}|{theirs.get_signature()}"
