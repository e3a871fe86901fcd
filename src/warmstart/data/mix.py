"""Several streams of examples as one."""

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from warmstart.errors import DataError, UsageError

__all__ = ["draw", "interleave"]

_T = TypeVar("_T")

logger = logging.getLogger(__name__)


def interleave(
    streams: Sequence[Iterable[_T]], weights: Sequence[float], *, seed: int, names: Sequence[object]
) -> Iterator[_T]:
    """One pass over several streams, each with a share by its weight.

    The next item comes from a stream drawn with a probability proportional to its weight. A stream
    that ends restarts, until each has ended once: no item is skipped, and short streams are
    repeated according to their weight. Lengths need not be known, and one item of each stream is in
    memory.

    Args:
        streams: can be iterated repeatedly, and have an item each.
        weights: one for each stream, above 0.
        seed: of the draws: the same seed gives the same order.
        names: of the streams, for the log.

    Raises:
        DataError: if a stream has no item.
    """
    choice = random.Random(seed)
    iterators = [iter(stream) for stream in streams]
    # One item ahead: otherwise a pass would end only after a draw from an exhausted stream.
    ahead = [next(iterator, None) for iterator in iterators]
    for name, first in zip(names, ahead, strict=True):
        if first is None:
            raise DataError(f"{name} has no examples to mix; give another file, or omit it.")
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
    logger.info("mixed by weight: %s", shares)


def draw(items: Iterable[_T], fraction: float, *, seed: int) -> Iterator[_T]:
    """A part of the items, drawn independently, so that their number need not be known.

    Of N items about N * fraction are taken, with a standard deviation of
    sqrt(N * fraction * (1 - fraction)). With the same seed, a smaller fraction gives a subset of a
    larger one.

    Args:
        items: the items.
        fraction: above 0, at most 1, which takes all.
        seed: of the draws.

    Raises:
        UsageError: if no item is drawn.
    """
    if fraction == 1:
        yield from items
        return
    choice = random.Random(f"fraction {seed}")  # independent of other draws by the seed
    seen = drawn = 0
    for item in items:
        seen += 1
        if choice.random() < fraction:
            drawn += 1
            yield item
    if drawn == 0:
        raise UsageError(
            f"A fraction of {fraction:g} of {seen} examples is empty; give a larger one."
        )
    logger.info("took %d of %d examples (fraction %g, seed %d)", drawn, seen, fraction, seed)
