import pytest
from tests.support.scoring import scored

from warmstart.metrics.exact_match import ExactMatch


@pytest.mark.parametrize(
    ("output", "references", "matches"),
    [
        ("A b .", ["A b ."], True),
        ("  A  b .\n", ["A b ."], True),
        ("A b .", ["other", "A b ."], True),
        ("a b .", ["A b ."], False),
        ("A b.", ["A b ."], False),
        ("", ["A"], False),
    ],
)
def test_compares_words(output: str, references: list[str], matches: bool) -> None:
    assert scored(ExactMatch(), ["x"], [output], [references]).value == 100 * matches


def test_lowercase_ignores_case_and_says_so() -> None:
    score = scored(ExactMatch(lowercase=True), ["x"], ["a b"], [["A B"]])
    assert score.value == 100
    assert "case:lc" in score.signature


def test_is_a_share_of_the_examples() -> None:
    assert scored(ExactMatch(), ["x"] * 4, list("abcd"), [["a"], ["b"], ["c"], ["x"]]).value == 75
