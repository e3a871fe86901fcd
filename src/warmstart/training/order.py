"""A random order of any number of examples, without a list of it.

Shape legend: W numbers of one window.
"""

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

__all__ = ["shuffled"]

_LISTED: Final = 2**20  # examples; a list of their order takes 8 MB
_ROUNDS: Final = 6
_MULTIPLIERS: Final = (0x9E3779B97F4A7C15 - 2**64, 0xBF58476D1CE4E5B9 - 2**64)  # odd, 64 bits


def shuffled(
    count: int, window: int, generator: torch.Generator, *, listed: int = _LISTED
) -> Iterator[Tensor]:
    """All numbers below `count` in a random order, a window at a time. Shape of each: [W]

    Up to a million numbers every order is possible. Beyond that the order is a permutation computed
    number by number (a Feistel network with random keys), in constant memory.

    Args:
        count: the number of numbers.
        window: numbers at a time; the last time fewer.
        generator: determines the order.
        listed: the largest count that is shuffled as a list.
    """
    if count <= listed:
        yield from torch.randperm(count, generator=generator).split(window)
        return
    keys = torch.randint(2**62, (_ROUNDS,), generator=generator).tolist()
    half = ((count - 1).bit_length() + 1) // 2  # bits
    for start in range(0, count, window):
        numbers = _permuted(torch.arange(start, min(start + window, count)), half, keys)
        # The permutation is of a power of four: numbers beyond the last are permuted again.
        while (outside := numbers >= count).any():
            numbers[outside] = _permuted(numbers[outside], half, keys)
        yield numbers


def _permuted(numbers_W: Tensor, half: int, keys: list[int]) -> Tensor:
    """A permutation of the numbers below 4 ** half, by swapping and mixing halves of their bits."""
    mask = (1 << half) - 1
    left_W, right_W = numbers_W >> half, numbers_W & mask
    for key in keys:
        mixed_W = (right_W + key) * _MULTIPLIERS[0]  # overflow wraps around
        mixed_W = (mixed_W ^ ((mixed_W >> 29) & 0x7FFFFFFFF)) * _MULTIPLIERS[1]
        left_W, right_W = right_W, left_W ^ ((mixed_W >> 31) & mask)
    return (left_W << half) | right_W
