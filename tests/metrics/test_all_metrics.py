import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.scoring import scored

from warmstart.errors import UsageError
from warmstart.metrics.all_metrics import METRICS, get_metric
from warmstart.metrics.metric import Metric
from warmstart.metrics.significance import paired_difference
from warmstart.metrics.system_outputs import SystemOutputs

# At least four words: BLEU is 0 without a 4-gram, whatever the reference.
SENTENCES = st.lists(
    st.sampled_from(["one", "Two", "three", "four", "five", "six"]), min_size=4, max_size=9
).map(" ".join)
Example = tuple[str, str, list[str]]
EXAMPLES = st.lists(
    st.tuples(SENTENCES, SENTENCES, st.lists(SENTENCES, min_size=1, max_size=3)),
    min_size=1,
    max_size=7,
)
# What can be computed of texts alone, and without a model.
OF_TEXTS = [m for m in METRICS if m.name != "length_limit" and not m.by_name_only]
EVERY_METRIC = pytest.mark.parametrize("metric", OF_TEXTS, ids=lambda metric: metric.name)
OF_QUALITY = pytest.mark.parametrize(
    "metric",
    [metric for metric in OF_TEXTS if metric.better == "higher"],
    ids=lambda metric: metric.name,
)


def system(examples: list[Example]) -> SystemOutputs:
    sources, outputs, references = map(list, zip(*examples, strict=True))
    return SystemOutputs(sources=sources, outputs=outputs, references=references)


def value(metric: Metric, examples: list[Example]) -> float:
    texts = system(examples)
    return scored(metric, texts.sources, texts.outputs, texts.references).value


@EVERY_METRIC
@settings(deadline=None, max_examples=12)
@given(EXAMPLES)
def test_stays_between_0_and_100_and_inside_its_interval(
    metric: Metric, examples: list[Example]
) -> None:
    texts = system(examples)
    score = scored(metric, texts.sources, texts.outputs, texts.references, per_example=True)
    assert 0 <= score.value <= metric.highest
    assert (score.ci is None) == (len(examples) == 1)
    if score.ci is not None:
        assert 0 <= score.ci[0] <= score.value <= score.ci[1] <= metric.highest
    assert score.per_example is not None
    assert len(score.per_example) == len(examples)
    assert all(0 <= of_example <= metric.highest for of_example in score.per_example)


@OF_QUALITY
@settings(deadline=None, max_examples=8)
@given(EXAMPLES)
def test_the_only_reference_scores_highest(metric: Metric, examples: list[Example]) -> None:
    single = [(source, output, texts[:1]) for source, output, texts in examples]
    best = value(metric, [(source, texts[0], texts) for source, _, texts in single])
    assert value(metric, single) <= best + 1e-9
    # With nothing to add or delete, EASSE's SARI cannot reach 100.
    if not metric.name.startswith("sari_easse"):
        assert best == pytest.approx(100)


@EVERY_METRIC
@settings(deadline=None, max_examples=6)
@given(EXAMPLES, st.integers(0, 10**6))
def test_orders_make_no_difference(metric: Metric, examples: list[Example], seed: int) -> None:
    generator = random.Random(seed)
    expected = value(metric, examples)
    shuffled = generator.sample(examples, len(examples))
    assert value(metric, shuffled) == expected
    other_references = [(s, o, generator.sample(texts, len(texts))) for s, o, texts in examples]
    assert value(metric, other_references) == pytest.approx(expected, abs=1e-9)


@EVERY_METRIC
@settings(deadline=None, max_examples=3)
@given(EXAMPLES)
def test_a_system_is_no_better_than_itself(metric: Metric, examples: list[Example]) -> None:
    found = paired_difference(metric, system(examples), system(examples))
    assert (found.difference, found.p_bootstrap, found.p_randomization) == (0, 1, 1)
    assert (found.first_higher, found.second_higher, found.equal) == (0, 0, len(examples))


@EVERY_METRIC
def test_refuses_different_counts(metric: Metric) -> None:
    with pytest.raises(UsageError, match=r"2 sources, 3 outputs and 2 lists of references"):
        scored(metric, ["a", "b"], ["a", "b", "c"], [["a"], ["b"]])


@OF_QUALITY
def test_empty_outputs_score_low_and_do_not_fail(metric: Metric) -> None:
    score = scored(metric, ["a b c d", "e f g h"], ["", ""], [["a b c x"], ["e f g x"]])
    assert 0 <= score.value < 40


@EVERY_METRIC
def test_texts_without_any_token(metric: Metric) -> None:
    score = scored(metric, ["", " "], ["", "  "], [["", "\t"], [" "]], per_example=True)
    assert 0 <= score.value <= metric.highest


@EVERY_METRIC
def test_says_what_it_is(metric: Metric) -> None:
    score = scored(metric, ["a"], ["a"], [["a"]])
    assert score.signature.startswith(f"{metric.name}|")
    assert ("nrefs:1" in score.signature) == ("references" in metric.needs)
    for text in (metric.description, metric.source):
        assert text
        assert "\n" not in text


def test_names_are_unique_and_find_their_metric() -> None:
    assert [get_metric(metric.name) for metric in METRICS] == list(METRICS)
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_signatures_are_unique() -> None:
    signatures = {metric.signature("1") for metric in OF_TEXTS}
    assert len(signatures) == len(OF_TEXTS)


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no metric 'rouge_l'; did you mean 'rougeL'"):
        get_metric("rouge_l")


def test_options_change_the_metrics_that_have_them() -> None:
    assert "case:lc|tok:none" in get_metric("sari", lowercase=True).signature("1")
    assert "case:mixed|eff:no|tok:none" in get_metric("bleu", tokenize="none").signature("1")
    assert "stemmer:no" in get_metric("rougeL", stemmer=False).signature("1")
    assert get_metric("rouge1", lowercase=False, tokenize="none") == get_metric("rouge1")


def test_the_catalogue_loads_nothing_heavy() -> None:
    code = (
        "import sys, warmstart.metrics.all_metrics; "
        "print([name for name in ('torch', 'transformers', 'nltk', 'sacrebleu') "
        "if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
