import math

import pytest

from warmstart.errors import UsageError
from warmstart.metrics import compute as compute_module
from warmstart.metrics.bleu import Bleu
from warmstart.metrics.compute import compute
from warmstart.metrics.exact_match import ExactMatch

OUTPUTS = [f"text {number % 2}" for number in range(400)]
REFERENCES = [["text 1"]] * 400


def test_interval_is_that_of_a_proportion() -> None:
    score = compute(ExactMatch(), OUTPUTS, OUTPUTS, REFERENCES)
    half_width = 100 * 1.96 * math.sqrt(0.25 / 400)
    assert score.value == 50
    assert score.ci is not None
    assert score.ci[0] == pytest.approx(50 - half_width, abs=0.7)
    assert score.ci[1] == pytest.approx(50 + half_width, abs=0.7)


def test_interval_is_the_same_every_time() -> None:
    assert compute(ExactMatch(), OUTPUTS, OUTPUTS, REFERENCES) == compute(
        ExactMatch(), OUTPUTS, OUTPUTS, REFERENCES
    )


def test_interval_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = [f"some words of output {number}" for number in range(50)]
    references = [[f"some words of reference {number % 7}"] for number in range(50)]
    whole = compute(Bleu(), outputs, outputs, references)
    monkeypatch.setattr(compute_module, "_BLOCK_ELEMENTS", 7 * 50)
    assert compute(Bleu(), outputs, outputs, references) == whole


def test_one_example_has_no_interval() -> None:
    assert compute(ExactMatch(), ["a"], ["a"], [["a"]]).ci is None


@pytest.mark.parametrize(
    ("sources", "outputs", "references"),
    [(["a"], ["a", "b"], [["a"], ["b"]]), (["a", "b"], ["a"], [["a"]]), (["a"], ["a"], [])],
)
def test_refuses_different_counts(
    sources: list[str], outputs: list[str], references: list[list[str]]
) -> None:
    with pytest.raises(UsageError, match=rf"{len(sources)} sources, {len(outputs)} outputs"):
        compute(ExactMatch(), sources, outputs, references)


def test_refuses_no_examples() -> None:
    with pytest.raises(UsageError, match="no examples"):
        compute(ExactMatch(), [], [], [])


def test_refuses_an_example_without_references() -> None:
    with pytest.raises(UsageError, match="no reference as the references of example 2"):
        compute(ExactMatch(), ["a", "b"], ["a", "b"], [["a"], []])


def test_refuses_a_text_in_place_of_a_list_of_references() -> None:
    with pytest.raises(UsageError, match="a single text as the references of example 1"):
        compute(ExactMatch(), ["a"], ["a"], ["a"])


def test_signature_counts_the_references() -> None:
    def signature(*references: list[str]) -> str:
        texts = ["a"] * len(references)
        return compute(ExactMatch(), texts, texts, list(references)).signature

    assert "|nrefs:1|" in signature(["a"], ["b"])
    assert "|nrefs:2|" in signature(["a", "b"])
    assert "|nrefs:var|" in signature(["a", "b"], ["a"])
