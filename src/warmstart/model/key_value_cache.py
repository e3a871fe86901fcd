"""Keys and values of the tokens decoded so far, with reserve.

Shape legend: B sources, R rows being decoded (B times the beams), N new tokens a row, S slots,
K key/value heads, D head size.
"""

from typing import Protocol

import torch
from torch import Tensor

from warmstart.model.config import StackConfig

__all__ = ["Cache", "CacheView", "causal_mask"]

_GROWTH = 64  # slots by which a cache grows, at least


class CacheView(Protocol):
    """The part of a `Cache` that a step uses."""

    cross: list[tuple[Tensor, Tensor]]
    source_mask_B1S: Tensor | None

    def positions(self, tokens: int) -> Tensor:
        """See `Cache.positions`."""

    def slots(self, tokens: int) -> int:
        """See `Cache.slots`."""

    def extend(self, layer: int, k_RNKD: Tensor, v_RNKD: Tensor) -> tuple[Tensor, Tensor]:
        """See `Cache.extend`."""

    def mask(self, tokens: int, window: int | None) -> Tensor | None:
        """See `Cache.mask`."""

    def advance(self, tokens: int, lengths: tuple[int, ...] | None = None) -> None:
        """See `Cache.advance`."""


def causal_mask(positions_RN: Tensor, slots: int, window: int | None) -> Tensor:
    """True where a token at a position sees a slot. Shape: [R, N] -> [R, N, S]"""
    distance = positions_RN[..., None] - torch.arange(slots, device=positions_RN.device)
    mask = distance >= 0
    return mask if window is None else mask & (distance < window)


class Cache:
    """Keys and values of one decoder, for every layer.

    Attributes:
        lengths_R: tokens of each row. Shape: [R]
        cross: keys and values of the source, one pair for each layer, once per source, not per
            beam. Shape of each: [B, K, S, D]
        sources: B.
        source_mask_B1S: True where a source has a token; None if all are of equal length.
            Shape: [B, 1, S]
    """

    def __init__(
        self,
        config: StackConfig,
        rows: int,
        capacity: int,
        like: Tensor,
        sources: int | None = None,
    ) -> None:
        """Reserves slots, and more of them when needed.

        Args:
            config: the decoder's.
            rows: sequences decoded together.
            capacity: maximum number of tokens of a row.
            like: a tensor of the device and type to use.
            sources: sources of the rows, each with the same number of them; default: one a row.
        """
        attention = config.attention
        self._capacity = capacity
        shape = (rows, attention.key_value_heads, min(capacity, _GROWTH), attention.head_size)
        # Zeros, because invisible slots may still be multiplied by zero.
        self._keys = [like.new_zeros(shape) for _ in range(config.layers)]
        self._values = [like.new_zeros(shape) for _ in range(config.layers)]
        self.lengths_R = torch.zeros(rows, dtype=torch.long, device=like.device)
        self.sources = rows if sources is None else sources
        self.cross: list[tuple[Tensor, Tensor]] = []
        self.source_mask_B1S: Tensor | None = None
        self._longest = 0  # a Python integer, so that no step waits for the device
        self._even = True  # whether all rows are of equal length

    def positions(self, tokens: int) -> Tensor:
        """Positions of the next tokens. Shape: [R, N]"""
        return self.lengths_R[:, None] + torch.arange(tokens, device=self.lengths_R.device)

    def slots(self, tokens: int) -> int:
        """Number of visible slots, including those of the next tokens."""
        return self._longest + tokens

    def extend(self, layer: int, k_RNKD: Tensor, v_RNKD: Tensor) -> tuple[Tensor, Tensor]:
        """Writes a layer's new keys and values and returns all of them.

        Shape: two of [R, N, K, D] -> two of [R, K, S, D]
        """
        new = k_RNKD.shape[1]
        self._make_room(new)
        keys, values = self._keys[layer], self._values[layer]
        end = self._longest + new
        if self._even:
            keys[:, :, self._longest : end] = k_RNKD.transpose(1, 2)
            values[:, :, self._longest : end] = v_RNKD.transpose(1, 2)
        else:
            rows = torch.arange(keys.shape[0], device=keys.device)[:, None]
            positions = self.positions(new)
            keys[rows, :, positions] = k_RNKD.to(keys.dtype)
            values[rows, :, positions] = v_RNKD.to(values.dtype)
        return keys[:, :, :end], values[:, :, :end]

    def mask(self, tokens: int, window: int | None) -> Tensor | None:
        """Slots that each new token sees; None: all. Shape: [R, N, S]"""
        slots = self.slots(tokens)
        if self._even and tokens == 1 and (window is None or slots <= window):
            return None
        return causal_mask(self.positions(tokens), slots, window)

    def storage(self, tokens: int) -> tuple[list[Tensor], list[Tensor]]:
        """The memory of every layer's keys and values, with slots for the next tokens.

        Shape of each: [R, K, S, D], with more slots than are visible
        """
        self._make_room(tokens)
        return self._keys, self._values

    def _make_room(self, tokens: int) -> None:
        held, needed = self._keys[0].shape[2], self._longest + tokens
        if needed <= held:
            return
        assert needed <= self._capacity, "the cache is full"
        slots = min(self._capacity, max(needed, held + max(_GROWTH, held // 4)))
        for tensors in (self._keys, self._values):
            for layer, old in enumerate(tensors):
                tensors[layer] = old.new_zeros((*old.shape[:2], slots, old.shape[3]))
                tensors[layer][:, :, : self._longest] = old[:, :, : self._longest]

    def advance(self, tokens: int, lengths: tuple[int, ...] | None = None) -> None:
        """Counts the new tokens.

        Args:
            tokens: new tokens a row.
            lengths: number of real tokens, where rows differ. The slots after them are invisible
                and overwritten later. Shape: [R]
        """
        self._longest += tokens
        if lengths is None:
            self.lengths_R = self.lengths_R + tokens
        else:
            self.lengths_R = self.lengths_R + torch.tensor(lengths, device=self.lengths_R.device)
            self._even = self._even and min(lengths) == tokens

    def take_back(self, tokens_R: Tensor) -> None:
        """Removes each row's last tokens, such as rejected ones of a draft. Shape: [R]"""
        self.lengths_R = self.lengths_R - tokens_R
        lengths = self.lengths_R.tolist()
        self._longest, self._even = max(lengths), min(lengths) == max(lengths)

    def reorder(self, rows_R: Tensor, newest: int | None = None) -> None:
        """Row r becomes a copy of row ``rows_R[r]``. Rows keep their source.

        Args:
            rows_R: the row that each one copies. Shape: [R]
            newest: maximum number of last tokens in which a row may differ from the one that it
                copies; default: all. Beams of a source share most of their tokens, which are not
                copied then.
        """
        moved = (rows_R != torch.arange(len(rows_R), device=rows_R.device)).nonzero()[:, 0]
        if not len(moved):
            return
        from_rows = rows_R[moved]
        self.lengths_R = self.lengths_R[rows_R]
        first = 0 if newest is None or not self._even else self._longest - newest
        for held in (*self._keys, *self._values):
            part = held[:, :, first : self._longest]
            part[moved] = part[from_rows]

    def keep(self, sources_B: Tensor) -> None:
        """Keeps some of the sources, and the rows of each. Shape: [B], ascending"""
        beams = len(self.lengths_R) // self.sources
        rows_R = (
            sources_B[:, None] * beams + torch.arange(beams, device=sources_B.device)
        ).flatten()
        self.lengths_R, self.sources = self.lengths_R[rows_R], len(sources_B)
        for tensors in (self._keys, self._values):
            for layer, old in enumerate(tensors):
                tensors[layer] = old.new_zeros((len(rows_R), *old.shape[1:]))
                tensors[layer][:, :, : self._longest] = old[rows_R, :, : self._longest]
        self.cross = [(keys[sources_B], values[sources_B]) for keys, values in self.cross]
        if self.source_mask_B1S is not None:
            self.source_mask_B1S = self.source_mask_B1S[sources_B]
