"""The best of many scores, by way of the best of each block.

A kernel for one maximum a row reads 30,000 scores ten times as fast as one that also keeps indices,
so indices are looked for within a few blocks alone. The results are the plain kernels'.

Shape legend: R rows, V vocabulary, W the block size, K scores to find.
"""

import torch
from torch import Tensor

__all__ = ["argmax", "topk"]

_BLOCK = 64  # scores


def argmax(scores_RV: Tensor) -> Tensor:
    """The index of each row's first maximum. Shape: [R, V] -> [R]"""
    if _plain(scores_RV, 1):
        return scores_RV.argmax(-1)
    indices_RW = _indices(_maxima(scores_RV).argmax(-1, keepdim=True), scores_RV.shape[1])
    within_R1 = scores_RV.gather(1, indices_RW).argmax(-1, keepdim=True)
    return indices_RW.gather(1, within_R1)[:, 0]


def topk(scores_RV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Each row's best scores, best first, and their indices. Shape: [R, V] -> two of [R, K]"""
    if _plain(scores_RV, count):
        values_RK, indices_RK = scores_RV.topk(count)
        return values_RK, indices_RK
    maxima = _maxima(scores_RV)
    # Any of the K best scores is in a block whose maximum is among the K best maxima.
    indices_RX = _indices(maxima.topk(count).indices, scores_RV.shape[1])
    values_RX = scores_RV.gather(1, indices_RX)
    # The last block is padded with the last score's index, which must not count twice.
    again_RX = torch.zeros_like(indices_RX, dtype=torch.bool)
    again_RX[:, 1:] = indices_RX[:, 1:] == indices_RX[:, :-1]
    values_RK, within_RK = values_RX.masked_fill(again_RX, float("-inf")).topk(count)
    return values_RK, indices_RX.gather(1, within_RK)


def _plain(scores_RV: Tensor, count: int) -> bool:
    """Whether there are too few scores for blocks, or another machine's kernels."""
    return scores_RV.shape[1] < 4 * count * _BLOCK or scores_RV.device.type != "cpu"


def _maxima(scores_RV: Tensor) -> Tensor:
    """The maximum of each block, the last of which may be shorter."""
    whole = scores_RV.shape[1] // _BLOCK * _BLOCK
    maxima: Tensor = scores_RV[:, :whole].unflatten(1, (-1, _BLOCK)).amax(-1)
    if whole == scores_RV.shape[1]:
        return maxima
    return torch.cat((maxima, scores_RV[:, whole:].amax(-1, keepdim=True)), dim=1)


def _indices(blocks_RK: Tensor, scores: int) -> Tensor:
    """The indices of all scores of some blocks. Shape: [R, K] -> [R, K * W]"""
    within_W = torch.arange(_BLOCK, device=blocks_RK.device)
    return (blocks_RK[:, :, None] * _BLOCK + within_W).clamp_max(scores - 1).flatten(1)
