"""Batches that know their lengths: no padding, so no mask can be wrong and none is computed.

Shape legend: B sequences, T tokens of all of them together, L the longest, H hidden size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Sequences", "join", "pad", "unpad"]


@dataclass(frozen=True, slots=True)
class Sequences:
    """Token ids of several sequences, one after the other.

    Attributes:
        tokens: the ids. Shape: [T]
        lengths: tokens of each sequence, each >= 1. They stay Python integers, so that a GPU is
            never asked for them. Shape: [B]
    """

    tokens: Tensor
    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        assert self.tokens.dim() == 1 and self.tokens.shape[0] == sum(self.lengths)

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]], device: torch.device | str = "cpu") -> "Sequences":
        """From lists of token ids."""
        rows = list(rows)
        tokens = torch.tensor([token for row in rows for token in row], dtype=torch.long)
        return cls(tokens.to(device), tuple(len(row) for row in rows))

    def positions(self) -> Tensor:
        """Each token's position in its own sequence, from 0. Shape: [T]"""
        return torch.cat([torch.arange(n) for n in self.lengths]).to(self.tokens.device)


def pad(packed_TX: Tensor, lengths: Sequence[int]) -> Tensor:
    """Packed rows as a rectangle, with zeros after the shorter sequences.

    Shape: [T, ...] -> [B, L, ...]
    """
    return torch.nn.utils.rnn.pad_sequence(list(packed_TX.split(list(lengths))), batch_first=True)


def unpad(padded_BLX: Tensor, lengths: Sequence[int]) -> Tensor:
    """The inverse of `pad`. Shape: [B, L, ...] -> [T, ...]"""
    return torch.cat([row[:length] for row, length in zip(padded_BLX, lengths, strict=True)])


def join(
    first_SX: Tensor, first_lengths: Sequence[int], second_TX: Tensor, second_lengths: Sequence[int]
) -> Tensor:
    """Packed sequences, each followed by the other's sequence of the same index.

    Shape: [S, ...], [T, ...] -> [S + T, ...]
    """
    pairs = zip(
        first_SX.split(list(first_lengths)), second_TX.split(list(second_lengths)), strict=True
    )
    return torch.cat([piece for pair in pairs for piece in pair])
