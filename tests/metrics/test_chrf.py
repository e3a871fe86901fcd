import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF
from tests.support.scoring import scored

from warmstart.metrics.chrf import Chrf

TEXTS = st.text(alphabet="abC d", max_size=12)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=4), st.booleans())
def test_equals_sacrebleu(examples: list[tuple[str, str, str]], lowercase: bool) -> None:
    outputs, first, second = map(list, zip(*examples, strict=True))
    expected = CHRF(lowercase=lowercase).corpus_score(outputs, [first, second])
    score = scored(
        Chrf(lowercase=lowercase),
        outputs,
        outputs,
        list(zip(first, second, strict=True)),
        per_example=True,
    )
    assert score.value == pytest.approx(expected.score, abs=1e-9)
    each = [CHRF(lowercase=lowercase).sentence_score(o, [a, b]).score for o, a, b in examples]
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


def test_signature_is_that_of_sacrebleu() -> None:
    theirs = CHRF()
    theirs.corpus_score(["a b c d"], [["a b c d"]])
    ours = scored(Chrf(), None, ["a b c d"], [["a b c d"]]).signature
    assert ours == f"chrf|{theirs.get_signature()}"
