import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.errors import UsageError
from warmstart.metrics.catalogue import METRICS, get_metric
from warmstart.metrics.compute import compute
from warmstart.metrics.metric import Metric

# At least four words: BLEU is 0 without a 4-gram, whatever the reference.
SENTENCES = st.lists(
    st.sampled_from(["one", "Two", "three", "four", "five", "six"]), min_size=4, max_size=9
).map(" ".join)
EXAMPLES = st.lists(st.tuples(SENTENCES, SENTENCES, SENTENCES), min_size=1, max_size=5)
EVERY_METRIC = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


@EVERY_METRIC
@settings(deadline=None, max_examples=25)
@given(EXAMPLES)
def test_stays_between_0_and_100(metric: Metric, examples: list[tuple[str, str, str]]) -> None:
    sources, outputs, targets = map(list, zip(*examples, strict=True))
    score = compute(metric, sources, outputs, [[target] for target in targets])
    assert 0 <= score.value <= 100 + 1e-9
    if score.ci is not None:
        assert -1e-9 <= score.ci[0] <= score.ci[1] <= 100 + 1e-9


@EVERY_METRIC
@settings(deadline=None, max_examples=15)
@given(EXAMPLES)
def test_the_only_reference_scores_highest(
    metric: Metric, examples: list[tuple[str, str, str]]
) -> None:
    sources, outputs, targets = map(list, zip(*examples, strict=True))
    references = [[target] for target in targets]
    best = compute(metric, sources, targets, references).value
    assert compute(metric, sources, outputs, references).value <= best + 1e-9
    if metric.name != "sari_easse":  # with nothing to add or delete it cannot reach 100
        assert best == pytest.approx(100)


@EVERY_METRIC
@settings(deadline=None, max_examples=15)
@given(EXAMPLES, st.integers(0, 10**6))
def test_order_of_examples_makes_no_difference(
    metric: Metric, examples: list[tuple[str, str, str]], seed: int
) -> None:
    def value(of: list[tuple[str, str, str]]) -> float:
        sources, outputs, targets = map(list, zip(*of, strict=True))
        return compute(metric, sources, outputs, [[target] for target in targets]).value

    shuffled = random.Random(seed).sample(examples, len(examples))
    assert value(shuffled) == pytest.approx(value(examples))


@EVERY_METRIC
def test_empty_outputs_score_low_and_do_not_fail(metric: Metric) -> None:
    score = compute(metric, ["a b c d", "e f g h"], ["", ""], [["a b c x"], ["e f g x"]])
    assert 0 <= score.value < 40


@EVERY_METRIC
def test_says_what_it_is(metric: Metric) -> None:
    signature = compute(metric, ["a"], ["a"], [["a"]]).signature
    assert signature.startswith(f"{metric.name}|")
    assert "nrefs:1" in signature
    assert metric.description
    assert "\n" not in metric.description


def test_names_are_unique_and_find_their_metric() -> None:
    assert [get_metric(metric.name) for metric in METRICS] == list(METRICS)
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no metric 'rouge_l'; did you mean 'rougeL'"):
        get_metric("rouge_l")


def test_options_change_the_metrics_that_have_them() -> None:
    assert "case:lc|tok:none" in get_metric("sari", lowercase=True).signature("1")
    assert "case:mixed|eff:no|tok:none" in get_metric("bleu", tokenize="none").signature("1")
    assert get_metric("rouge1", lowercase=False, tokenize="none") == get_metric("rouge1")


def test_the_catalogue_loads_nothing_heavy() -> None:
    code = (
        "import sys, warmstart.metrics.catalogue; "
        "print([name for name in ('torch', 'transformers', 'nltk', 'sacrebleu') "
        "if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
