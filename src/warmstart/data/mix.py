"""Several streams of examples as one."""

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from warmstart.errors import DataError, UsageError

__all__ = ["draw", "interleave"]

T = TypeVar("T")

_LOGGER: Final = logging.getLogger(__name__)


def interleave(
    streams: Sequence[Iterable[T]], weights: Sequence[float], *, seed: int, names: Sequence[object]
) -> Iterator[T]:
    """One pass over several streams, of which each has a share by its weight.

    The next item comes from a stream drawn with a probability of its weight by the sum of them
    all. A stream that ends begins again, until each has ended once: nothing is left out, and short
    ones are repeated as often as their weight asks. Nothing needs to be known of their lengths, and
    one item of each is in memory.

    Args:
        streams: Each can be iterated again and has an item.
        weights: Of each, above 0.
        seed: Of the draws: the same seed gives the same order.
        names: Of each, for the log.

    Raises:
        DataError: One has no item.
    """
    choice = random.Random(seed)
    iterators = [iter(stream) for stream in streams]
    # One ahead, or a pass would only end after a draw from a stream that had nothing left.
    ahead = [next(iterator, None) for iterator in iterators]
    for name, first in zip(names, ahead, strict=True):
        if first is None:
            raise DataError(f"{name} has no examples to mix; give another file, or leave it out.")
    passes = [0] * len(streams)
    taken = [0] * len(streams)
    indices = range(len(streams))
    while not all(passes):
        index = choice.choices(indices, weights)[0]
        item = ahead[index]
        assert item is not None
        yield item
        taken[index] += 1
        ahead[index] = next(iterators[index], None)
        if ahead[index] is None:
            passes[index] += 1
            iterators[index] = iter(streams[index])
            ahead[index] = next(iterators[index])
    shares = ", ".join(
        f"{count} of {name}{'' if times < 2 else f' ({times} passes and more)'}"
        for name, count, times in zip(names, taken, passes, strict=True)
    )
    _LOGGER.info("mixed by weight: %s", shares)


def draw(items: Iterable[T], fraction: float, *, seed: int) -> Iterator[T]:
    """A part of the items, each drawn by itself, so that their number need not be known.

    Of N items about N * fraction are taken, with a standard deviation of
    sqrt(N * fraction * (1 - fraction)). A smaller fraction with the same seed gives a part of what
    a larger one does.

    Args:
        items: To draw from.
        fraction: Above 0, at most 1, which takes all.
        seed: Of the draws.

    Raises:
        UsageError: Of so few items none was drawn.
    """
    if fraction == 1:
        yield from items
        return
    choice = random.Random(f"fraction {seed}")  # apart from the numbers that chose other things
    seen = drawn = 0
    for item in items:
        seen += 1
        if choice.random() < fraction:
            drawn += 1
            yield item
    if drawn == 0:
        raise UsageError(
            f"a fraction of {fraction:g} of {seen} examples is none; give a larger one."
        )
    _LOGGER.info("took %d of %d examples (fraction %g, seed %d)", drawn, seen, fraction, seed)
