import math
import random
import statistics
from itertools import product

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest
from tests.support.scoring import scored

from warmstart.errors import UsageError
from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.significance import paired_difference
from warmstart.metrics.system_outputs import SystemOutputs


def systems(count: int, share: float) -> tuple[SystemOutputs, SystemOutputs, list[str]]:
    """Two systems that make mistakes, the second a little fewer."""
    generator = random.Random(count)
    words = [f"w{i}" for i in range(50)]

    def edited(text: str, mistakes: float) -> str:
        kept = (
            w if generator.random() > mistakes else generator.choice(words) for w in text.split()
        )
        return " ".join(kept)

    targets = [" ".join(generator.choices(words, k=generator.randint(6, 15))) for _ in range(count)]
    references = [[target] for target in targets]
    first = SystemOutputs(outputs=[edited(t, 0.3) for t in targets], references=references)
    second = SystemOutputs(outputs=[edited(t, 0.3 - share) for t in targets], references=references)
    return first, second, targets


@pytest.mark.parametrize("share", [0.0, 0.02])
def test_randomisation_is_that_of_sacrebleu(share: float) -> None:
    first, second, targets = systems(200, share)
    named = [("first", list(first.outputs)), ("second", list(second.outputs))]
    metrics = {"BLEU": BLEU(references=[targets])}
    _, scores = PairedTest(named, metrics, None, test_type="ar", n_samples=10_000)()
    expected = scores["BLEU"][1]
    found = paired_difference(get_metric("bleu"), first, second)
    assert found.second.value == pytest.approx(expected.score)
    assert 0.001 < found.p_randomization < 0.9  # a case in which they can differ
    assert found.p_randomization == pytest.approx(expected.p_value, abs=0.02)


@pytest.mark.parametrize(("gained", "lost"), [(18, 10), (12, 10), (30, 10)])
def test_bootstrap_of_a_share_is_a_two_sided_test_of_proportions(gained: int, lost: int) -> None:
    changes = [1] * gained + [-1] * lost + [0] * (400 - gained - lost)
    targets = [["right"]] * 400
    first = ["wrong" if change == 1 else "right" for change in changes]
    second = ["wrong" if change == -1 else "right" for change in changes]
    found = paired_difference(
        get_metric("exact_match"),
        SystemOutputs(outputs=first, references=targets),
        SystemOutputs(outputs=second, references=targets),
    )
    deviation = statistics.pstdev(changes) / 400**0.5
    normal = statistics.NormalDist(statistics.fmean(changes), deviation)
    p_value = 2 * (1 - statistics.NormalDist().cdf(statistics.fmean(changes) / deviation))
    assert found.p_bootstrap == pytest.approx(p_value, abs=0.05)
    # Every change gains or loses one, so that an exchange is a toss: the sign test.
    changed = gained + lost
    at_least = sum(math.comb(changed, count) for count in range(gained, changed + 1))
    assert found.p_randomization == pytest.approx(2 * at_least / 2**changed, abs=0.02)
    assert found.ci is not None
    assert found.ci[0] == pytest.approx(100 * normal.inv_cdf(0.025), abs=0.5)
    assert found.ci[1] == pytest.approx(100 * normal.inv_cdf(0.975), abs=0.5)


def test_randomisation_tends_to_all_exchanges() -> None:
    first, second, _ = systems(6, 0.2)
    metric = get_metric("chrf")
    found = paired_difference(metric, first, second)

    def difference(exchanged: tuple[bool, ...]) -> float:
        values = []
        for here, there in ((first, second), (second, first)):
            pairs = zip(here.outputs, there.outputs, exchanged, strict=True)
            outputs = [other if swap else own for own, other, swap in pairs]
            values.append(scored(metric, None, outputs, first.references).value)
        return values[1] - values[0]

    every = [abs(difference(exchanged)) for exchanged in product((False, True), repeat=6)]
    share = sum(value >= abs(found.difference) - 1e-9 for value in every) / len(every)
    assert found.p_randomization == pytest.approx(share, abs=0.02)


def test_a_clear_difference_is_significant_and_has_its_effect() -> None:
    first, second, targets = systems(100, 0.3)  # the second makes none
    found = paired_difference(get_metric("exact_match"), first, second)
    assert found.second.value == 100
    assert found.difference == found.second.value - found.first.value > 50
    assert found.ci is not None
    assert 0 < found.ci[0] <= found.difference <= found.ci[1]
    assert (found.p_bootstrap, found.p_randomization) == (1 / 1001, 1 / 10_001)
    right = sum(a == b for a, b in zip(first.outputs, targets, strict=True))
    assert (found.first_higher, found.second_higher, found.equal) == (0, 100 - right, right)
    back = paired_difference(get_metric("exact_match"), second, first)
    assert back.difference == -found.difference


def test_intervals_are_those_of_each_system_alone() -> None:
    first, second, _ = systems(50, 0.1)
    found = paired_difference(get_metric("rougeL"), first, second)
    assert found.first == scored(get_metric("rougeL"), None, first.outputs, first.references)
    assert found.second == scored(get_metric("rougeL"), None, second.outputs, second.references)


def test_one_example() -> None:
    one = SystemOutputs(outputs=["a"], references=[["a"]])
    other = SystemOutputs(outputs=["b"], references=[["a"]])
    found = paired_difference(get_metric("exact_match"), one, other)
    assert (found.difference, found.ci) == (-100, None)
    assert found.p_randomization == 1


def test_refuses_other_counts() -> None:
    with pytest.raises(UsageError, match="has 1 outputs and the second 2"):
        paired_difference(
            get_metric("repetition_rate"),
            SystemOutputs(outputs=["a"]),
            SystemOutputs(outputs=["a", "b"]),
        )
