import math

import pytest
from tests.support.scoring import scored

from warmstart.errors import UsageError
from warmstart.metrics import bootstrap
from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.bleu import Bleu
from warmstart.metrics.exact_match import ExactMatch

OUTPUTS = [f"text {number % 2}" for number in range(400)]
REFERENCES = [["text 1"]] * 400


def test_interval_is_that_of_a_proportion() -> None:
    score = scored(ExactMatch(), OUTPUTS, OUTPUTS, REFERENCES)
    half_width = 100 * 1.96 * math.sqrt(0.25 / 400)
    assert score.value == 50
    assert score.ci is not None
    assert score.ci[0] == pytest.approx(50 - half_width, abs=0.7)
    assert score.ci[1] == pytest.approx(50 + half_width, abs=0.7)


def test_interval_is_the_same_every_time() -> None:
    assert scored(ExactMatch(), OUTPUTS, OUTPUTS, REFERENCES) == scored(
        ExactMatch(), OUTPUTS, OUTPUTS, REFERENCES
    )


def test_interval_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = [f"some words of output {number}" for number in range(50)]
    references = [[f"some words of reference {number % 7}"] for number in range(50)]
    whole = scored(Bleu(), outputs, outputs, references)
    monkeypatch.setattr(bootstrap, "BLOCK_ELEMENTS", 7 * 50)
    assert scored(Bleu(), outputs, outputs, references) == whole


def test_one_example_has_no_interval() -> None:
    assert scored(ExactMatch(), ["a"], ["a"], [["a"]]).ci is None


@pytest.mark.parametrize(
    ("sources", "outputs", "references"),
    [(["a"], ["a", "b"], [["a"], ["b"]]), (["a", "b"], ["a"], [["a"]]), (["a"], ["a"], [])],
)
def test_refuses_different_counts(
    sources: list[str], outputs: list[str], references: list[list[str]]
) -> None:
    with pytest.raises(UsageError, match=rf"{len(sources)} sources, {len(outputs)} outputs"):
        scored(ExactMatch(), sources, outputs, references)


def test_refuses_no_examples() -> None:
    with pytest.raises(UsageError, match="no examples"):
        scored(ExactMatch(), [], [], [])


def test_refuses_an_example_without_references() -> None:
    with pytest.raises(UsageError, match="no reference as the references of example 2"):
        scored(ExactMatch(), ["a", "b"], ["a", "b"], [["a"], []])


def test_refuses_a_text_in_place_of_a_list_of_references() -> None:
    with pytest.raises(UsageError, match="a single text as the references of example 1"):
        scored(ExactMatch(), ["a"], ["a"], ["a"])


def test_gives_each_examples_value_if_asked() -> None:
    score = scored(ExactMatch(), None, ["a", "b"], [["a"], ["c"]], per_example=True)
    assert score.per_example == pytest.approx([100, 0])
    assert scored(ExactMatch(), None, ["a", "b"], [["a"], ["c"]]).per_example is None
    assert "per_example" not in score.to_json()


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("sari", "sari needs the sources"),
        ("copy_rate", "copy_rate needs the sources"),
        ("length_limit", "length_limit needs to know which outputs hit the length limit"),
    ],
)
def test_says_what_a_metric_needs(metric: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        scored(get_metric(metric), None, ["a"], [["a"]])


def test_references_are_needed_by_most() -> None:
    with pytest.raises(UsageError, match="bleu needs references"):
        scored(Bleu(), ["a"], ["a"], None)
    assert scored(get_metric("copy_rate"), ["a"], ["a"], None).value == 100


def test_the_interval_holds_the_value_where_few_examples_decide() -> None:
    # One example in 40 has hits, so that most resamples fall short.
    outputs = ["a b c d e"] + [f"x{i} y z w{i}" for i in range(40)]
    references = [["a b c d e"]] + [[f"k{i} l{i}"] for i in range(40)]
    score = scored(Bleu(), None, outputs, references)
    assert score.ci is not None
    assert score.ci[0] <= score.value <= score.ci[1]


def test_signature_counts_the_references() -> None:
    def signature(*references: list[str]) -> str:
        texts = ["a"] * len(references)
        return scored(ExactMatch(), texts, texts, list(references)).signature

    assert "|nrefs:1|" in signature(["a"], ["b"])
    assert "|nrefs:2|" in signature(["a", "b"])
    assert "|nrefs:var|" in signature(["a", "b"], ["a"])
