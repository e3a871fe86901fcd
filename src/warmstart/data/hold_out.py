"""A validation split taken out of training data."""

import random
from collections.abc import Sequence

from warmstart.data.example import Example
from warmstart.errors import DataError, UsageError

__all__ = ["hold_out"]


def hold_out(
    examples: Sequence[Example], *, size: int | None = None, seed: int = 0
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Splits examples in two, the same way for the same seed, each part in its old order.

    Examples with the same source stay together: one that is trained on must not be tested.

    Args:
        examples: What to split.
        size: How many to hold out; None is a tenth, and at most 1000. With sources that occur
            several times it may be a few fewer.
        seed: Chooses which.

    Returns:
        The examples to train on, and those held out.

    Raises:
        UsageError: `size` is not between 1 and one less than the number of examples.
        DataError: There are fewer than two different sources.
    """
    if size is None:
        size = max(1, min(1000, len(examples) // 10))
    elif not 1 <= size < max(2, len(examples)):
        raise UsageError(
            f"cannot hold out {size} of {len(examples)} examples for validation; give a number "
            f"from 1 to {len(examples) - 1}."
        )
    by_source: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        by_source.setdefault(example.source, []).append(index)
    if len(by_source) < 2:
        raise DataError(
            "the data has only one source text, so that no validation split can be held out; give "
            "more data, or a validation file of its own."
        )
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
