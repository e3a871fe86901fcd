"""Examples without duplicates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from warmstart.data.example import Example
from warmstart.data.hashes import partitions
from warmstart.data.stored import StoredExamples, hash_blocks

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

__all__ = ["without_duplicates"]


def without_duplicates(examples: Sequence[Example]) -> Sequence[Example]:
    """The first of each set of examples with the same source and targets, in their order.

    For examples on disk, memory holds the hashes of one partition at a time, and 16 bytes for each
    duplicate.
    """
    if not isinstance(examples, StoredExamples):
        return tuple(dict.fromkeys(examples))
    return examples.without(_later_copies(examples))


def _later_copies(examples: StoredExamples) -> "NDArray[numpy.int64]":
    """Indices of the duplicates, in order."""
    import numpy

    parts = partitions(len(examples))
    mask = numpy.uint64(parts - 1)
    copies = [numpy.empty(0, numpy.int64)]
    for part in range(parts):
        hashes, indices, start = [], [], 0
        for block in hash_blocks(examples):
            rows = numpy.flatnonzero((block[:, 1] & mask) == part)
            hashes.append(block[rows, 1])
            indices.append(start + rows)
            start += len(block)
        together = numpy.concatenate(hashes)
        order = together.argsort(kind="stable")  # of equal ones the first stays first
        repeated = numpy.flatnonzero(together[order][1:] == together[order][:-1]) + 1
        copies.append(numpy.concatenate(indices)[order[repeated]])
    return numpy.sort(numpy.concatenate(copies))
