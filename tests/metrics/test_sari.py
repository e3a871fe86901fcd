from fractions import Fraction
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.scoring import scored

from warmstart.errors import UsageError
from warmstart.metrics.sari import Sari

SOURCE = "About 95 species are currently accepted ."
REFERENCES = [
    "About 95 species are currently known .",
    "About 95 species are now accepted .",
    "95 species are now accepted .",
]

SENTENCES = st.lists(st.sampled_from("abcde"), max_size=9).map(" ".join)


def slow_sari(
    source: str, output: str, references: list[str], deletion: str = "precision"
) -> Fraction:
    """The definition, n-gram by n-gram over everything that occurs, in exact fractions."""
    total = Fraction(0)
    for order in range(1, 5):

        def grams(text: str, n: int = order) -> list[tuple[str, ...]]:
            words = text.split()
            return [tuple(words[i : i + n]) for i in range(len(words)) if i + n <= len(words)]

        sides = [grams(reference) for reference in references if grams(reference)]
        universe = {*grams(source), *grams(output), *(gram for side in sides for gram in side)}
        tally = dict.fromkeys(("add", "added", "to_add", "keep", "kept", "to_keep"), Fraction(0))
        delete = deleted = to_delete = Fraction(0)
        for gram in universe:
            has_source, has_output = gram in grams(source), gram in grams(output)
            weight = Fraction(sum(gram in side for side in sides), len(sides) or 1)
            tally["added"] += has_output and not has_source
            tally["to_add"] += weight > 0 and not has_source
            tally["add"] += has_output and weight > 0 and not has_source
            tally["kept"] += has_source and has_output
            tally["to_keep"] += weight * has_source
            tally["keep"] += weight * (has_source and has_output)
            deleted += has_source and not has_output
            delete += (1 - weight) * (has_source and not has_output)
            to_delete += (1 - weight) * has_source

        def f1(hits: Fraction, selected: Fraction, relevant: Fraction) -> Fraction:
            precision = hits / selected if selected else Fraction(1)
            recall = hits / relevant if relevant else Fraction(1)
            if precision == 0 or recall == 0:
                return Fraction(0)
            return 2 / (1 / precision + 1 / recall)

        total += f1(tally["add"], tally["added"], tally["to_add"])
        total += f1(tally["keep"], tally["kept"], tally["to_keep"])
        precise = delete / deleted if deleted else Fraction(1)
        total += precise if deletion == "precision" else f1(delete, deleted, to_delete)
    return total / 12


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        # The test cases of tensor2tensor's sari_hook_test.py.
        ("About 95 you now get in .", 26.95360),
        ("About 95 species are now agreed .", 61.70966),
        ("About 95 species are currently agreed .", 50.88682),
    ],
)
def test_published_sentences(output: str, expected: float) -> None:
    assert scored(Sari(), [SOURCE], [output], [REFERENCES]).value == pytest.approx(
        expected, abs=1e-4
    )


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.tuples(SENTENCES, SENTENCES, st.lists(SENTENCES, min_size=1, max_size=3)),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["precision", "f1"]),
)
def test_equals_the_definition(
    examples: list[tuple[str, str, list[str]]], deletion: Literal["precision", "f1"]
) -> None:
    sources, outputs, references = map(list, zip(*examples, strict=True))
    each = [float(100 * slow_sari(*example, deletion)) for example in examples]
    score = scored(Sari(deletion=deletion), sources, outputs, references, per_example=True)
    assert score.value == pytest.approx(sum(each) / len(each), abs=1e-9)
    assert score.per_example == pytest.approx(each, abs=1e-9)


def test_copying_has_a_full_deletion_score() -> None:
    # Nothing is added where something should be (0), everything is kept, nothing deleted (1).
    score = scored(Sari(), ["a b c d e f"], ["a b c d e f"], [["a b c d e f g"]])
    assert score.value == pytest.approx(100 * 2 / 3)


def test_case_and_tokens_are_options_and_in_the_signature() -> None:
    sources, outputs, references = ["One, two."], ["one, two."], [["One , two ."]]
    plain = scored(Sari(), sources, outputs, references)
    folded = scored(Sari(lowercase=True, tokenize="13a"), sources, outputs, references)
    assert plain.value < 100
    assert folded.value == 100
    assert "case:mixed|tok:none" in plain.signature
    assert "case:lc|tok:13a-sacrebleu-" in folded.signature


def test_refuses_an_unknown_tokenization() -> None:
    with pytest.raises(UsageError, match="did you mean '13a'"):
        Sari(tokenize="13")
