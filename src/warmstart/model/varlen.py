"""Attention on a GPU by the kernel for sequences of various lengths, without any padding.

It is FlashAttention (Dao 2023) as torch has it, in bfloat16 and float16. It knows neither dropout
nor a bias nor a soft cap; what it cannot compute goes through `attend_padded`.

Shape legend: B sequences, T query tokens and U key tokens of all of them together, H query heads,
K key/value heads, D head size.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

import torch
from torch import Tensor

from warmstart.model.config import AttentionConfig

__all__ = ["attend_varlen", "suits_varlen"]

_HALVES: Final = (torch.bfloat16, torch.float16)
# The backward pass for larger heads exists on some GPUs only.
_LARGEST_HEAD: Final = 192
_OLDEST_GPU: Final = (8, 0)  # Ampere


def suits_varlen(
    v_UKD: Tensor,
    query_lengths: Sequence[int],
    key_lengths: Sequence[int],
    config: AttentionConfig,
    *,
    causal: bool,
    window: int | None,
    merged: bool,
    biased: bool,
    dropout: float,
) -> bool:
    """Whether `attend_varlen` can compute this attention, on the values' device and in their type.

    Under autocast queries and keys may be in float32, where they are normed; the values tell what
    products are to be in.

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
    if merged:  # its window would leave the source out
        return window is None
    # The kernel lets the last query see the last key, whatever the lengths; ours the first the
    # first.
    return not (causal or window is not None) or [*query_lengths] == [*key_lengths]


def attend_varlen(
    q_THD: Tensor,
    k_UKD: Tensor,
    v_UKD: Tensor,
    query_lengths: Sequence[int],
    key_lengths: Sequence[int],
    config: AttentionConfig,
    *,
    causal: bool,
    window: int | None,
) -> Tensor:
    """`attend_packed` in one call, if `suits_varlen`.

    Where keys begin with those of a source, as many as there are more keys than queries, a causal
    query sees these and then what is not ahead of it, as merged attention has it.

    Shape: as `attend_packed`, but [T, H, D] out, in the type of the values.
    """
    from torch.nn.attention.varlen import varlen_attn  # it loads the compiler

    behind = -1 if window is None else window - 1  # keys; -1: all
    mixed = varlen_attn(
        q_THD.to(v_UKD.dtype),
        k_UKD.to(v_UKD.dtype),
        v_UKD,
        _offsets(tuple(query_lengths), v_UKD.device),
        _offsets(tuple(key_lengths), v_UKD.device),
        max(query_lengths),
        max(key_lengths),
        scale=config.scale,
        window_size=(behind, 0 if causal else behind),
        enable_gqa=config.heads != config.key_value_heads,
    )
    assert isinstance(mixed, Tensor)
    return mixed


@lru_cache(maxsize=8)  # all layers ask for the same; each answer is a copy that the GPU waits for
def _offsets(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Where each sequence begins, and where the last one ends. Shape: [B + 1], int32"""
    with torch.inference_mode(False):  # training may ask for what decoding has asked for
        return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)
