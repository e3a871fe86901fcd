"""Attention on a GPU by the kernel for sequences of various lengths, without any padding.

It is torch's FlashAttention (Dao 2023), in bfloat16 and float16. It has no dropout, bias or soft
cap; whatever it cannot compute goes through `attend_padded`.

Shape legend: B sequences, T query tokens and U key tokens of all of them together, H query heads,
K key/value heads, D head size.
"""

from functools import lru_cache
from itertools import accumulate
from typing import Final

import torch
from torch import Tensor

from warmstart.model.config import AttentionConfig
from warmstart.model.layout import Layout

__all__ = ["attend_varlen", "suits_varlen"]

_HALVES: Final = (torch.bfloat16, torch.float16)
# The backward pass for larger heads exists on some GPUs only.
_LARGEST_HEAD: Final = 192
_OLDEST_GPU: Final = (8, 0)  # Ampere


def suits_varlen(
    v_UKD: Tensor,
    layout: Layout,
    config: AttentionConfig,
    *,
    biased: bool,
    dropout: float,
) -> bool:
    """Whether `attend_varlen` can compute this attention, on the values' device and in their type.

    Under autocast queries and keys may be in float32, where they are normed; products are computed
    in the type of the values.

    Shape: as `attend_packed`
    """
    if not v_UKD.is_cuda or v_UKD.dtype not in _HALVES:
        return False
    if torch.version.hip or torch.cuda.get_device_capability(v_UKD.device) < _OLDEST_GPU:
        return False
    if biased or dropout or config.soft_cap is not None:
        return False
    if config.head_size % 8 or config.head_size > _LARGEST_HEAD:
        return False
    if layout.merged:  # the kernel's window would leave the source out
        return layout.window is None
    # The kernel aligns the last query with the last key; ours the first with the first.
    aligned = [*layout.query_lengths] == [*layout.key_lengths]
    return aligned or not (layout.causal or layout.window is not None)


def attend_varlen(
    q_THD: Tensor,
    k_UKD: Tensor,
    v_UKD: Tensor,
    layout: Layout,
    config: AttentionConfig,
) -> Tensor:
    """`attend_packed` in one call, if `suits_varlen`.

    Merged attention needs no mask of its own: the kernel aligns the last query with the last key,
    so that a causal query sees its source's keys, then the target's up to its own position.

    Shape: as `attend_packed`, but [T, H, D] out, in the type of the values.
    """
    from torch.nn.attention.varlen import varlen_attn  # it loads the compiler

    before = -1 if layout.window is None else layout.window - 1  # keys; -1: all
    mixed = varlen_attn(
        q_THD.to(v_UKD.dtype),
        k_UKD.to(v_UKD.dtype),
        v_UKD,
        _offsets(tuple(layout.query_lengths), v_UKD.device),
        _offsets(tuple(layout.key_lengths), v_UKD.device),
        max(layout.query_lengths),
        max(layout.key_lengths),
        scale=config.scale,
        window_size=(before, 0 if layout.causal else before),
        enable_gqa=config.heads != config.key_value_heads,
    )
    assert isinstance(mixed, Tensor)
    return mixed


@lru_cache(maxsize=8)  # the same for all layers; each computed one is a copy the GPU waits for
def _offsets(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Where each sequence begins, and where the last one ends. Shape: [B + 1], int32"""
    with torch.inference_mode(False):  # training may reuse the entries of decoding
        return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)
