"""The examples of each pass of each step."""

from collections import Counter
from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.tiny import Checkpoints
from tests.training.runs import copying_examples, seq2seq

from warmstart.seq2seq import Seq2Seq
from warmstart.training.batches import TokenizedExamples
from warmstart.training.passes import PassSampler

_COUNT = 1000


@pytest.fixture(scope="module")
def model(checkpoints: Checkpoints) -> Seq2Seq:
    return seq2seq(checkpoints("bert"))


@pytest.fixture(scope="module")
def many(model: Seq2Seq) -> TokenizedExamples:
    return TokenizedExamples(model, copying_examples(_COUNT), None, None)


def cost(examples: TokenizedExamples, rows: list[int]) -> int:
    """Tokens of some examples, counted one by one."""
    return sum(len(examples[row].source) + len(examples[row].labels) for row in rows)


def steps_of(sampler: PassSampler) -> list[list[int]]:
    """The examples of each step, passes put together."""
    passes = list(sampler)
    return [
        list(chain(*passes[first : first + sampler.passes]))
        for first in range(0, len(passes), sampler.passes)
    ]


@settings(deadline=None, max_examples=30)
@given(size=st.integers(1, 40), passes=st.integers(1, 4), seed=st.integers(0, 5))
def test_by_examples_each_occurs_once_an_epoch(
    many: TokenizedExamples, size: int, passes: int, seed: int
) -> None:
    steps = 3 * _COUNT // (size * passes)
    sampler = PassSampler(many, steps=steps, passes=passes, size=size, seed=seed)
    found = list(sampler)
    assert len(found) == len(sampler) == steps * passes
    assert {len(rows) for rows in found} == {size}
    seen = Counter(chain(*found))
    # The last epoch may be cut, and within an epoch the order is random.
    assert max(seen.values()) <= 3
    assert sum(count >= 2 for count in seen.values()) >= _COUNT - 2 * size * passes
    assert list(sampler) == found, "the same again"


@settings(deadline=None, max_examples=30)
@given(
    tokens=st.integers(1, 600),
    passes=st.integers(1, 4),
    seed=st.integers(0, 5),
)
def test_by_tokens_no_step_exceeds_the_limit(
    many: TokenizedExamples, tokens: int, passes: int, seed: int
) -> None:
    sampler = PassSampler(many, steps=60, passes=passes, size=1, tokens=tokens, seed=seed)
    assert all(list(sampler)), "no pass is empty"
    for rows in steps_of(sampler):
        assert cost(many, rows) <= tokens * passes or len(rows) == passes
    assert list(sampler) == list(sampler), "the same again"


def test_by_tokens_steps_are_of_similar_size(many: TokenizedExamples) -> None:
    sampler = PassSampler(many, steps=50, passes=2, size=1, tokens=400)
    costs = [cost(many, rows) for rows in steps_of(sampler)]
    longest = max(cost(many, [row]) for row in range(_COUNT))
    assert min(costs) > 800 - longest
    for rows in list(sampler):
        assert abs(cost(many, rows) - 400) <= longest


def test_by_tokens_every_example_recurs(many: TokenizedExamples) -> None:
    """Neither the longest nor the shortest wait forever for a step that they fill."""
    sampler = PassSampler(many, steps=600, passes=1, size=1, tokens=500)
    seen = Counter(chain(*sampler))
    epochs = sampler.taken[-1] / _COUNT
    assert epochs > 10
    assert len(seen) == _COUNT
    lengths = many.lengths(torch.arange(_COUNT)).sum(1)
    for rows in lengths.argsort().split(100):
        mean = sum(seen[int(row)] for row in rows) / len(rows)
        assert abs(mean - epochs) < 0.1 * epochs


@pytest.mark.parametrize("tokens", [None, 300])
def test_a_step_does_not_depend_on_its_split(many: TokenizedExamples, tokens: int | None) -> None:
    whole = PassSampler(
        many, steps=40, passes=1, size=24, tokens=None if tokens is None else 4 * tokens, seed=3
    )
    cut = PassSampler(many, steps=40, passes=4, size=6, tokens=tokens, seed=3)
    assert steps_of(whole) == steps_of(cut)
    assert whole.taken == cut.taken


def test_an_order_depends_on_epoch_and_seed(many: TokenizedExamples) -> None:
    runs = [PassSampler(many, steps=250, passes=1, size=8, seed=seed) for seed in (0, 1)]
    orders = [tuple(map(tuple, run)) for run in runs]
    epochs = {order[:125] for order in orders} | {order[125:] for order in orders}
    assert len(epochs) == 4
    first, second = (
        {frozenset(rows) for rows in half} for half in (orders[0][:125], orders[0][125:])
    )
    assert not first & second, "others meet in the next epoch"


def test_passes_hold_examples_of_similar_length(many: TokenizedExamples) -> None:
    found = list(PassSampler(many, steps=125, passes=1, size=8))
    lengths = [[len(many[row].source) for row in rows] for rows in found]
    assert sum(max(each) - min(each) for each in lengths) / len(found) < 0.3
    means = [sum(each) for each in lengths]
    assert means != sorted(means), "long and short ones come in turn"


def test_fewer_examples_than_a_step_takes(model: Seq2Seq) -> None:
    few = TokenizedExamples(model, copying_examples(5), None, None)
    found = list(PassSampler(few, steps=10, passes=1, size=8))
    assert {len(rows) for rows in found} == {8}
    assert set(Counter(chain(*found)).values()) == {16}
    by_tokens = PassSampler(few, steps=4, passes=2, size=1, tokens=1000)
    assert len(list(by_tokens)) == 8
