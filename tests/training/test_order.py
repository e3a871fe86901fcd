"""A random order that is computed rather than listed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.training.order import shuffled


def order(count: int, seed: int = 0, window: int = 100, listed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    windows = list(shuffled(count, window, generator, listed=listed))
    assert {len(numbers) for numbers in windows[:-1]} <= {window}
    return [number for numbers in windows for number in numbers.tolist()]


@settings(deadline=None, max_examples=30)
@given(count=st.integers(1, 500), seed=st.integers(0, 2**40), window=st.integers(1, 600))
def test_every_number_occurs_once(count: int, seed: int, window: int) -> None:
    assert sorted(order(count, seed, window)) == list(range(count))


def test_it_depends_on_the_seed_and_not_on_the_window() -> None:
    assert order(1000, 1) == order(1000, 1, window=7)
    assert order(1000, 1) != order(1000, 2)
    assert order(1000, 1) != list(range(1000))


def test_short_orders_are_torch_s_own() -> None:
    expected = torch.randperm(1000, generator=torch.Generator().manual_seed(4)).tolist()
    assert order(1000, 4, listed=1000) == expected


@pytest.mark.parametrize("count", [2**12, 5000])
def test_it_looks_random(count: int) -> None:
    """Against chance, over 200 seeds: positions, neighbours, and sums of windows."""
    orders = torch.tensor([order(count, seed, window=count) for seed in range(200)]).double()
    # A number's place, standardized; the mean of n of them has a deviation of 1 / sqrt(n).
    places = (orders - (count - 1) / 2) / (count / 12**0.5)
    assert places.mean(0).abs().max() < 5 / 200**0.5
    neighbours = (places[:, 1:] * places[:, :-1]).mean(1)
    assert neighbours.abs().max() < 5 / count**0.5
    assert neighbours.std() == pytest.approx(1 / count**0.5, rel=0.3)
    # Fixed points: one in a permutation, on average.
    fixed = (orders == torch.arange(count)).sum(1).double()
    assert fixed.mean() == pytest.approx(1, abs=0.5)


def test_a_hundred_million_need_no_list() -> None:
    generator = torch.Generator().manual_seed(0)
    first = next(shuffled(100_000_000, 1600, generator))
    assert len(first.unique()) == 1600
    assert int(first.max()) < 100_000_000
    assert int(first.max()) > 90_000_000
