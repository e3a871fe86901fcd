import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from tests.support.scoring import scored
from tests.support.shared_data import shared_data

from warmstart.errors import UsageError
from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.rouge import Rouge


def read(name: str) -> list[str]:
    with gzip.open(shared_data("xsum_outputs", name), "rt", encoding="utf-8") as file:
        return file.read().removesuffix("\n").split("\n")


# On one of the two systems each, to keep the run short; every figure has two decimals.
@pytest.mark.parametrize(
    ("metric", "system", "expected"),
    [
        ("rouge1", "topic-convs2s", 31.58),
        ("rouge2", "lead", 1.58),
        ("rougeL", "topic-convs2s", 25.58),
    ],
)
def test_published_figures_on_xsum(metric: str, system: str, expected: float) -> None:
    outputs = read(f"{system}-test-output.txt.gz")
    references = [[reference] for reference in read("gold-test-sentences.txt.gz")]
    score = scored(get_metric(metric), outputs, outputs, references)
    assert score.value == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("metric", ["rouge1", "rouge2", "rougeL"])
@pytest.mark.parametrize("system", ["topic-convs2s", "lead"])
def test_systems_on_xsum_equal_rouge_score(metric: str, system: str) -> None:
    """On the first outputs, because it takes its time."""
    outputs = read(f"{system}-test-output.txt.gz")[:300]
    targets = read("gold-test-sentences.txt.gz")[:300]
    scorer = RougeScorer([metric], use_stemmer=True)
    each = [
        100 * scorer.score(target, output)[metric].fmeasure
        for target, output in zip(targets, outputs, strict=True)
    ]
    references = [[target] for target in targets]
    score = scored(get_metric(metric), None, outputs, references, per_example=True)
    assert score.per_example == pytest.approx(each, abs=1e-9)
    assert score.value == pytest.approx(sum(each) / len(each), abs=1e-9)


def test_takes_the_best_reference_of_each_example() -> None:
    outputs = ["the cat sat", "a dog ran away"]
    references = [["a bird", "the cat sat down"], ["a dog ran", "nothing"]]
    scorer = RougeScorer(["rouge1"], use_stemmer=True)
    best = [
        scorer.score("the cat sat down", outputs[0])["rouge1"].fmeasure,
        scorer.score("a dog ran", outputs[1])["rouge1"].fmeasure,
    ]
    score = scored(get_metric("rouge1"), outputs, outputs, references)
    assert score.value == pytest.approx(100 * sum(best) / 2)


@pytest.mark.parametrize("metric", ["rouge1", "rouge2", "rougeL", "rougeLsum"])
@pytest.mark.parametrize("stemmer", [True, False])
def test_equals_rouge_score(metric: str, stemmer: bool) -> None:
    pairs = [
        ("The runners' running shoes ran.\nIt's 3.5 km!", "Running shoes of a runner\nran 3.5 km"),
        ("Nothing in common", "whatever else"),
        ("", "an empty output"),
        ("—", "no word at all"),
    ]
    scorer = RougeScorer([metric], use_stemmer=stemmer)
    expected = [scorer.score(target, output)[metric].fmeasure for output, target in pairs]
    outputs = [output for output, _ in pairs]
    references = [[target] for _, target in pairs]
    score = scored(
        Rouge(name=metric, description="", stemmer=stemmer), outputs, outputs, references
    )
    assert score.value == pytest.approx(100 * sum(expected) / len(expected))


WORDS = st.lists(st.sampled_from(["a", "b", "cats", "cat", "Dogs."]), max_size=7).map(" ".join)
LINES = st.lists(WORDS, min_size=1, max_size=3).map("\n".join)


@settings(deadline=None, max_examples=60)
@given(LINES, LINES, st.sampled_from(["rougeL", "rougeLsum"]))
def test_subsequences_equal_those_of_rouge_score(output: str, target: str, metric: str) -> None:
    expected = RougeScorer([metric], use_stemmer=True).score(target, output)[metric].fmeasure
    score = scored(get_metric(metric), None, [output], [[target]])
    assert score.value == pytest.approx(100 * expected, abs=1e-9)


def test_rouge_lsum_takes_lines_for_sentences() -> None:
    output, reference = "one two\nthree four", "three four\none two"
    args = (["x"], [output], [[reference]])
    assert scored(get_metric("rougeLsum"), *args).value == 100
    assert scored(get_metric("rougeL"), *args).value == 50


def test_stemmer_is_an_option_and_in_the_signature() -> None:
    args = (["x"], ["cats running"], [["cat runs"]])
    stemmed = scored(get_metric("rouge1"), *args)
    plain = scored(Rouge(name="rouge1", description="", stemmer=False), *args)
    assert (stemmed.value, plain.value) == (100, 0)
    assert "stemmer:porter" in stemmed.signature
    assert "stemmer:no" in plain.signature


def test_refuses_an_unknown_kind() -> None:
    with pytest.raises(UsageError, match="did you mean 'rougeL'"):
        Rouge(name="rougel", description="")
