import pytest
from tests.support.scoring import scored

from warmstart.metrics.all_metrics import get_metric

SOURCES = ["He came in and sat down.", "It was late. They left, as ever."]
OUTPUTS = ["He came in. He sat down.", "They left."]


def test_characters() -> None:
    score = scored(get_metric("compression_ratio"), SOURCES, OUTPUTS, None, per_example=True)
    each = [
        100 * len(output) / len(source) for source, output in zip(SOURCES, OUTPUTS, strict=True)
    ]
    assert score.per_example == pytest.approx(each)
    assert score.value == pytest.approx(sum(each) / 2)


def test_sentences() -> None:
    score = scored(get_metric("sentence_splits"), SOURCES, OUTPUTS, None, per_example=True)
    assert score.per_example == pytest.approx([200, 50])
    assert score.value == 125


def test_copies_and_empty_texts() -> None:
    for name in ("compression_ratio", "sentence_splits"):
        assert scored(get_metric(name), SOURCES, SOURCES, None).value == 100
    assert scored(get_metric("compression_ratio"), ["", "a"], ["", ""], None).value == 0
