"""Texts as 8-byte hashes, to find duplicates in data larger than memory.

Two of 100 million different texts have the same hash with a probability of 3 in 10,000.

Shape legend: N examples of a block.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from warmstart.data.example import Example

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

__all__ = ["Hashes", "count_repeats", "hashes_of", "part_of", "partitions"]

Hashes: TypeAlias = "NDArray[numpy.uint64]"

# Hashes compared at once: 64 MB, and as much again to sort them.
AT_ONCE: Final = 8_000_000


def hashes_of(examples: Sequence[Example]) -> "Hashes":
    """A hash of each source, and of each source with all its targets. Shape: [N, 2]."""
    import numpy

    raw = bytearray()
    for example in examples:
        source = hashlib.blake2b(example.source.encode(), digest_size=8)
        raw += source.digest()
        for target in example.targets:
            # An unambiguous separator: UTF-8 does not use this byte.
            source.update(b"\xff" + target.encode())
        raw += source.digest()
    return numpy.frombuffer(bytes(raw), numpy.uint64).reshape(-1, 2)


def partitions(count: int) -> int:
    """The number of parts, by their last bits, in which to compare `count` hashes: a power of 2."""
    return 1 << max(0, -(-count // AT_ONCE) - 1).bit_length()


def part_of(blocks: Iterator["Hashes"], part: int, parts: int) -> "Hashes":
    """The hashes of one part, in their order. Shape: [N]."""
    import numpy

    mask = numpy.uint64(parts - 1)
    chosen = [block if parts == 1 else block[(block & mask) == part] for block in blocks]
    return numpy.concatenate(chosen) if chosen else numpy.empty(0, numpy.uint64)


def count_repeats(blocks: Callable[[], Iterator["Hashes"]], count: int) -> int:
    """The number of repeated hashes, in bounded memory: one pass for each part.

    Args:
        blocks: returns all hashes, block by block, on every call.
        count: number of hashes.
    """
    parts = partitions(count)
    repeats = 0
    for part in range(parts):
        hashes = part_of(blocks(), part, parts)
        hashes.sort()
        repeats += int((hashes[1:] == hashes[:-1]).sum())
    return repeats
