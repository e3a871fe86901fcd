"""Metrics that describe outputs, on texts whose figures can be counted by hand."""

import pytest
from tests.support.scoring import scored

from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.bertscore import BertScore
from warmstart.metrics.repetition_rate import RepetitionRate

SOURCES = ["The cat sat on the mat .", "a b c d", "x y"]


def test_repetitions_of_three_tokens() -> None:
    outputs = ["a b c a b c", "a b a b", "A b c, a B C", ""]
    score = scored(get_metric("repetition_rate"), None, outputs, None, per_example=True)
    assert score.per_example == pytest.approx([100, 0, 100, 0])
    assert score.value == 50
    pairs = scored(RepetitionRate(order=2), None, outputs, None, per_example=True)
    assert pairs.per_example == pytest.approx([100, 100, 100, 0])


def test_copies() -> None:
    score = scored(get_metric("copy_rate"), SOURCES, [SOURCES[0], " a  b c d", "x z"], None)
    assert score.value == pytest.approx(200 / 3)


@pytest.mark.parametrize(
    ("order", "novel", "total"),
    # "the dog sat on the mat . the" has 7 distinct words, the source all but "dog".
    [(1, 1 + 0, 6 + 2), (2, 3 + 1, 7 + 1)],
)
def test_novel_ngrams(order: int, novel: int, total: int) -> None:
    outputs = ["The dog sat on the mat . the", "b a"]
    score = scored(get_metric(f"novel_{order}grams"), SOURCES[:2], outputs, None)
    assert score.value == pytest.approx(100 * novel / total)


def test_length_ratio_is_of_all_tokens() -> None:
    outputs, references = ["a b c", "a"], [["a b", "a b c d"], ["a b c d e"]]
    score = scored(get_metric("length_ratio"), None, outputs, references)
    assert score.value == pytest.approx(100 * 4 / 8)
    twice = scored(get_metric("length_ratio"), None, ["a b c d"], [["a b"]])
    assert twice.value == 50
    assert scored(get_metric("longer_outputs"), None, ["a b c d"], [["a b"]]).value == 100
    assert scored(get_metric("longer_outputs"), None, outputs, references).value == 0


def test_outputs_at_the_length_limit() -> None:
    score = scored(
        get_metric("length_limit"), None, ["a"] * 4, None, at_limit=[True, False, False, False]
    )
    assert score.value == 25


def test_bertscore_says_what_to_install_or_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from warmstart.errors import UsageError

    monkeypatch.setitem(sys.modules, "bert_score", None)
    with pytest.raises(UsageError, match="pip install bert-score"):
        scored(BertScore(model="somewhere"), None, ["a"], [["a"]])
