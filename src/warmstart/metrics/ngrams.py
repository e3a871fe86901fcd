"""Counts of each n-gram in each text of an example, for many examples at once.

Shape legend: E examples of a block, S texts of an example ("slots": the output, its references,
...), P tokens of a block, M distinct n-grams of the examples.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["IntArray", "NgramTable", "character_tables", "word_tables"]

IntArray = NDArray[np.int64]

# Tokens counted together: enough that the overhead of numpy is small, few enough for the cache.
_BLOCK_TOKENS: Final = 2**17
_KEY_BITS: Final = 62  # of an int64, without its sign

_Texts = TypeVar("_Texts", bound=Sequence[Sequence[Any]])


@dataclass(frozen=True, slots=True)
class NgramTable:
    """The n-grams of one order in a block of examples."""

    order: int
    first: int  # number of the block's first example among all
    lengths_ES: IntArray  # tokens of each text; 0 also for missing texts
    example_M: IntArray  # example of the n-gram, from 0 in the block, ascending
    counts_MS: IntArray  # count in each text

    @property
    def totals_ES(self) -> IntArray:
        """Number of n-grams of this order in each text."""
        return np.maximum(self.lengths_ES - self.order + 1, 0)

    def by_example(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sums of each example's values.

        Args:
            values: shape: [M, ...].

        Returns:
            Shape: [E, ...].
        """
        sums = np.zeros((len(self.lengths_ES), *values.shape[1:]), dtype=np.int64)
        if len(values):
            starts = np.flatnonzero(np.diff(self.example_M, prepend=-1))
            sums[self.example_M[starts]] = np.add.reduceat(values, starts, axis=0, dtype=np.int64)
        return sums


def word_tables(
    examples: Iterable[Sequence[Sequence[str]]], orders: int
) -> Iterator[list[NgramTable]]:
    """Tables of word n-grams.

    Args:
        examples: the tokens of each text of each example.
        orders: the longest n-gram.

    Yields:
        For each block of examples, its tables of 1 to `orders`.
    """
    for first, block in _blocks(examples):
        numbers: dict[str, int] = {}
        tokens_P = np.fromiter(
            (
                numbers.setdefault(token, len(numbers))
                for token in chain.from_iterable(chain.from_iterable(block))
            ),
            dtype=np.int64,
        )
        yield list(_tables(first, block, tokens_P, max(1, len(numbers)), orders))


def character_tables(examples: Iterable[Sequence[str]], orders: int) -> Iterator[list[NgramTable]]:
    """Tables of character n-grams: as `word_tables`, where each text's tokens are characters."""
    for first, block in _blocks(examples):
        text = "".join(chain.from_iterable(block))
        codes_P = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        alphabet = np.unique(codes_P)
        tokens_P = np.searchsorted(alphabet, codes_P)
        yield list(_tables(first, block, tokens_P, max(1, len(alphabet)), orders))


def _blocks(examples: Iterable[_Texts]) -> Iterator[tuple[int, list[_Texts]]]:
    first, tokens = 0, 0
    block: list[_Texts] = []
    for example in examples:
        block.append(example)
        tokens += sum(map(len, example))
        if tokens >= _BLOCK_TOKENS:
            yield first, block
            first, tokens, block = first + len(block), 0, []
    if block:
        yield first, block


def _tables(
    first: int,
    block: Sequence[Sequence[Sequence[Any]]],
    tokens_P: IntArray,
    vocabulary: int,
    orders: int,
) -> Iterator[NgramTable]:
    """One table for each order; `tokens_P` are numbers below `vocabulary`."""
    slots = max(map(len, block))
    lengths_ES = np.array(
        [[*map(len, texts), *[0] * (slots - len(texts))] for texts in block], dtype=np.int64
    )
    lengths = lengths_ES.ravel()
    # A key is [example | n-gram | slot], from the highest bit, so that sorting groups
    # equal n-grams.
    slot_bits = (slots - 1).bit_length()
    place_P = np.repeat(np.arange(lengths.size), lengths)
    example_P, slot_P = np.divmod(place_P, slots)
    left_P = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(tokens_P))  # tokens to the end
    room = _KEY_BITS - slot_bits - (len(block) - 1).bit_length()
    ngrams, size = tokens_P, vocabulary
    for order in range(1, orders + 1):
        if order > 1:
            if (size * vocabulary - 1).bit_length() > room:
                ngrams = np.unique(ngrams, return_inverse=True)[1]
                size = int(ngrams.max(initial=0)) + 1
            ngrams = ngrams[:-1] * vocabulary + tokens_P[order - 1 :]
            size *= vocabulary
        ngram_bits = (size - 1).bit_length()
        used = len(ngrams)
        keys = (example_P[:used] << ngram_bits) + ngrams
        keys = ((keys << slot_bits) + slot_P[:used])[left_P[:used] >= order]
        keys.sort()
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        counts = np.diff(starts, append=len(keys))
        keys = keys[starts]
        groups = keys >> slot_bits
        new = np.diff(groups, prepend=-1) != 0
        counts_MS = np.zeros((int(new.sum()), slots), dtype=np.int64)
        counts_MS[np.cumsum(new) - 1, keys & ((1 << slot_bits) - 1)] = counts
        yield NgramTable(order, first, lengths_ES, groups[new] >> ngram_bits, counts_MS)
