import logging
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.data.mix import draw, interleave
from warmstart.errors import UsageError

WEIGHTS = st.floats(0.1, 10)
STREAMS = st.lists(st.tuples(st.integers(1, 30), WEIGHTS), min_size=2, max_size=4)


def mixed(sizes: list[int], weights: list[float], seed: int = 0) -> list[tuple[int, int]]:
    streams = [[(index, item) for item in range(size)] for index, size in enumerate(sizes)]
    return list(interleave(streams, weights, seed=seed, names=[*range(len(sizes))]))


@given(streams=STREAMS, seed=st.integers(0, 99))
def test_a_pass_holds_every_item_and_ends_with_the_last_stream_to_end(
    streams: list[tuple[int, float]], seed: int
) -> None:
    sizes, weights = [size for size, _ in streams], [weight for _, weight in streams]
    order = mixed(sizes, weights, seed)
    counts = Counter(order)
    assert set(counts) == {(i, item) for i, size in enumerate(sizes) for item in range(size)}
    # Within a stream the order is its own, and it begins again when it has ended.
    for index, size in enumerate(sizes):
        own = [item for stream, item in order if stream == index]
        assert own == [position % size for position in range(len(own))]
    # The last item ends the only stream that had not yet ended.
    last, item = order[-1]
    assert item == sizes[last] - 1
    assert counts[order[-1]] == 1
    assert order == mixed(sizes, weights, seed)


def test_weights_are_shares() -> None:
    order = mixed([20_000, 100], [3, 1])
    shares = Counter(stream for stream, _ in order)
    assert shares[0] == 20_000
    # 4 standard deviations of the number drawn beside 20,000 of probability 3/4
    assert shares[1] == pytest.approx(20_000 / 3, abs=4 * (20_000 * (1 / 4) / (3 / 4) ** 2) ** 0.5)


def test_the_seed_decides() -> None:
    assert mixed([50, 50], [1, 1], seed=1) != mixed([50, 50], [1, 1], seed=2)


def test_streams_of_unknown_length_are_read_no_further_than_needed() -> None:
    class Endless:
        def __iter__(self) -> Iterator[int]:
            return count()

    taken = list(islice(interleave([Endless(), Endless()], [1, 1], seed=0, names="ab"), 1000))
    assert max(taken) < 600


def test_the_mixture_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        list(interleave([[1] * 90, [2]], [1, 1], seed=0, names=["long", "short"]))
    assert "90 of long, " in caplog.text
    assert "of short (" in caplog.text


@given(size=st.integers(200, 2000), seed=st.integers(0, 9))
def test_smaller_fractions_are_part_of_larger_ones(size: int, seed: int) -> None:
    few, more = (list(draw(range(size), fraction, seed=seed)) for fraction in (0.1, 0.5))
    assert set(few) <= set(more) <= set(range(size))
    assert few == sorted(few)
    for taken, fraction in ((few, 0.1), (more, 0.5)):
        deviation = (size * fraction * (1 - fraction)) ** 0.5
        assert len(taken) == pytest.approx(size * fraction, abs=6 * deviation)
    assert few == list(draw(range(size), 0.1, seed=seed))
    assert list(draw(range(size), 1, seed=seed)) == list(range(size))


def test_a_fraction_of_too_few() -> None:
    with pytest.raises(
        UsageError, match=r"A fraction of 0\.001 of 3 examples is empty; give a larger"
    ):
        list(draw(range(3), 0.001, seed=0))
