"""Relative positions as a bias on attention scores, learned or fixed.

Shape legend: L longest sequence, R rows decoded side by side, N new tokens a row, S slots, H query
heads.
"""

import math

import torch
from torch import Tensor, nn

from warmstart.model.config import RelativeBias

__all__ = ["LinearBiases", "RelativeBiasTable", "buckets"]


class RelativeBiasTable(nn.Module):
    """One bias for each bucket of distances and head, for all layers of a stack."""

    def __init__(self, config: RelativeBias, heads: int) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.buckets, heads))

    def forward(self, longest: int, *, causal: bool) -> Tensor:
        """Biases between all positions of a sequence, by query and key; no future if causal.

        Shape: [H, L, L]
        """
        far = longest - 1
        # From the farthest key before the query to the farthest ahead, then one window for each
        # query: a look-up for every pair would be slower, and much slower in the backward pass.
        distances = torch.arange(far, -longest, -1, device=self.weight.device)
        by_distance_HD = self.weight[buckets(distances, self.config)].T
        if causal:
            by_distance_HD = by_distance_HD.masked_fill(distances < 0, float("-inf"))
        return by_distance_HD.unfold(1, longest, 1).flip(1)

    def step(self, positions_RN: Tensor, slots: int) -> Tensor:
        """Biases between tokens at some positions and the first positions of their row.

        Shape: [R, N] -> [R, H, N, S]
        """
        distances = positions_RN[..., None] - torch.arange(slots, device=positions_RN.device)
        return self.weight[buckets(distances, self.config)].permute(0, 3, 1, 2)


class LinearBiases(nn.Module):
    """A penalty that grows with distance, by a slope for each head (Press et al. 2022, section 3).

    A bidirectional stack has the same penalty for keys ahead, as in MosaicBERT.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        # A geometric sequence for a power of two; for the heads beyond it every second value of
        # the sequence for the next power.
        power = 2 ** int(math.log2(heads))
        slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
        slopes += [2 ** (-4 * (2 * head + 1) / power) for head in range(heads - power)]
        self.slopes = tuple(slopes)

    def forward(self, longest: int, *, causal: bool) -> Tensor:
        """See `RelativeBiasTable.forward`. Shape: [H, L, L]"""
        far = longest - 1
        distances = torch.arange(far, -longest, -1)
        by_distance_HD = -self._slopes(distances) * distances.abs()
        if causal:
            by_distance_HD = by_distance_HD.masked_fill(distances < 0, float("-inf"))
        return by_distance_HD.unfold(1, longest, 1).flip(1)

    def step(self, positions_RN: Tensor, slots: int) -> Tensor:
        """See `RelativeBiasTable.step`. Shape: [R, N] -> [R, H, N, S]"""
        distances = positions_RN[..., None] - torch.arange(slots, device=positions_RN.device)
        return -self._slopes(distances)[..., None] * distances[:, None]

    def _slopes(self, like: Tensor) -> Tensor:
        """Shape: [H, 1]"""
        return torch.tensor(self.slopes, device=like.device)[:, None]


def buckets(distances: Tensor, config: RelativeBias) -> Tensor:
    """Bucket of each distance, query's position minus key's. Shape: unchanged.

    Half of the buckets are for one distance each, the other half for ranges that grow with the
    logarithm up to the greatest distance, and the last for all beyond (Raffel et al. 2020, T5,
    section 2.1). A bidirectional table has two such sets, the second for keys ahead. In any other
    table keys ahead count as at the query's own position.
    """
    count = config.buckets
    if config.bidirectional:
        count //= 2
        first = (distances < 0) * count
        distances = distances.abs()
    else:
        first = torch.zeros_like(distances)
        distances = distances.clamp(min=0)
    exact = count // 2
    # The order of operations determines how the borders of the ranges are rounded.
    growth = torch.log(distances.clamp(min=1).float() / exact) / math.log(
        config.max_distance / exact
    )
    ranged = (exact + (growth * (count - exact)).long()).clamp(max=count - 1)
    return first + torch.where(distances < exact, distances, ranged)
