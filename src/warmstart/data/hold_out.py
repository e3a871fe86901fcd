"""A validation split held out of training data."""

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from warmstart.data.example import Example
from warmstart.data.stored import StoredExamples
from warmstart.errors import DataError, UsageError

if TYPE_CHECKING:
    from warmstart.data.hashes import Hashes

__all__ = ["hold_out"]


def hold_out(
    examples: Sequence[Example], *, size: int | None = None, seed: int = 0
) -> tuple[Sequence[Example], tuple[Example, ...]]:
    """Splits examples in two, the same way for the same seed, each part in its old order.

    Examples with the same source stay together: a source to train on must not be tested.
    Examples on disk stay there.

    Args:
        examples: what to split.
        size: number of examples to hold out; None: a tenth, and at most 1000. With repeated sources
            it may be a few fewer.
        seed: of the choice.

    Returns:
        The examples to train on, and those held out.

    Raises:
        UsageError: if `size` is not between 1 and one less than the number of examples.
        DataError: if there are fewer than two different sources.
    """
    if size is None:
        size = max(1, min(1000, len(examples) // 10))
    elif not 1 <= size < max(2, len(examples)):
        raise UsageError(
            f"Cannot hold out {size} of {len(examples)} examples for validation; give a number "
            f"from 1 to {len(examples) - 1}."
        )
    if isinstance(examples, StoredExamples):
        return _hold_out_of_stored(examples, size, seed)
    by_source: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        by_source.setdefault(example.source, []).append(index)
    if len(by_source) < 2:
        raise _only_one_source()
    sources = list(by_source)
    random.Random(seed).shuffle(sources)
    held: set[int] = set()
    for source in sources:
        if len(held) == size:
            break
        if len(held) + len(by_source[source]) <= size:
            held.update(by_source[source])
    if not held:
        # Every source occurs more often than `size`: hold the first one out, whole.
        held.update(by_source[sources[0]])
    train = tuple(example for index, example in enumerate(examples) if index not in held)
    return train, tuple(examples[index] for index in sorted(held))


def _only_one_source() -> DataError:
    return DataError(
        "The data has only one source text, so that no validation split can be held out; give "
        "more data, or a validation file of its own."
    )


def _hold_out_of_stored(
    examples: StoredExamples, size: int, seed: int
) -> tuple[StoredExamples, tuple[Example, ...]]:
    """Holds out the sources whose hashes, mixed with the seed, are the smallest: in two passes."""
    import numpy

    smallest = numpy.empty(0, numpy.uint64)
    for block in _mixed(examples, seed):
        smallest = numpy.sort(numpy.concatenate([smallest, block]))[: size + 1]
    whole = smallest[:size][smallest[:size] < smallest[size]]  # sources that fit with all examples
    # Where the first source occurs more often than `size`, it is held out, whole.
    last = whole[-1] if len(whole) else smallest[0]
    held: list[int] = []
    start = 0
    for block in _mixed(examples, seed):
        held += (start + numpy.flatnonzero(block <= last)).tolist()
        start += len(block)
    if len(held) == len(examples):
        raise _only_one_source()
    return examples.without(held), tuple(examples[index] for index in held)


def _mixed(examples: StoredExamples, seed: int) -> "Iterator[Hashes]":
    """The hash of each source, mixed with the seed. Every step is one to one."""
    import numpy

    key = numpy.uint64(random.Random(seed).getrandbits(64))
    for block in examples.hash_blocks():
        mixed = (block[:, 0] ^ key) * numpy.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> numpy.uint64(29)
        yield mixed * numpy.uint64(0xBF58476D1CE4E5B9)
