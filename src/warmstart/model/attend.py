"""Scaled dot-product attention over batches that know their lengths.

Merged attention is to the source and to the target at once, see `Layout.merged`.

Relative positions are a bias that is added to the scores. The bias of full sequences is minus
infinity where a key lies ahead of the query, so it already is the causal mask; keys of a source
have none.

Shape legend: B sequences, T query tokens and U key tokens of all of them together, L and S the
longest query and key sequence, H query heads, K key/value heads, G = H / K, D head size.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from warmstart.model.config import AttentionConfig
from warmstart.model.layout import Layout
from warmstart.model.sequences import pad, unpad
from warmstart.model.varlen import attend_varlen, suits_varlen

__all__ = [
    "attend_cached",
    "attend_cached_merged",
    "attend_packed",
    "attend_padded",
    "attend_runs",
    "attend_scores",
]


def attend_packed(
    q_THD: Tensor,
    k_UKD: Tensor,
    v_UKD: Tensor,
    layout: Layout,
    config: AttentionConfig,
    *,
    bias_HLL: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Attention of each sequence's queries to the same sequence's keys.

    Args:
        q_THD: queries. Shape: [T, H, D]
        k_UKD: keys. Shape: [U, K, D]
        v_UKD: values. Shape: [U, K, D]
        layout: lengths of the sequences, and which keys a query sees.
        config: scale, grouping and soft cap.
        bias_HLL: added to the scores, by the positions of query and key in their sequence; see
            above. Shape: [H, L, L]
        dropout: probability of dropping an attention weight.

    Returns:
        Shape: [T, H * D]
    """
    dtype = q_THD.dtype
    if q_THD.device.type == "cpu":
        # Flash attention's bfloat16 backward is several times slower on a CPU than float32's.
        q_THD, k_UKD, v_UKD = q_THD.float(), k_UKD.float(), v_UKD.float()
    attend = attend_runs if q_THD.device.type == "cpu" else attend_padded
    with torch.autocast(q_THD.device.type, enabled=False):
        if suits_varlen(v_UKD, layout, config, biased=bias_HLL is not None, dropout=dropout):
            return attend_varlen(q_THD, k_UKD, v_UKD, layout, config).flatten(1).to(dtype)
        mixed_THD = attend(
            q_THD,
            k_UKD.to(q_THD.dtype),
            v_UKD.to(q_THD.dtype),
            layout,
            config,
            bias_HLL=None if bias_HLL is None else bias_HLL.to(q_THD.dtype),
            dropout=dropout,
        )
    return mixed_THD.flatten(1).to(dtype)


def attend_runs(
    q_THD: Tensor,
    k_UKD: Tensor,
    v_UKD: Tensor,
    layout: Layout,
    config: AttentionConfig,
    *,
    bias_HLL: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """`attend_packed` without any padding: one call per run of sequences of equal lengths.

    Shape: as `attend_packed`, but [T, H, D] out.
    """
    outputs = []
    runs = list(_runs(layout))
    # One split each, whose backward is one concatenation: slices would each fill a whole tensor.
    pieces = zip(
        runs,
        q_THD.split([count * queries for count, queries, _ in runs]),
        k_UKD.split([count * keys for count, _, keys in runs]),
        v_UKD.split([count * keys for count, _, keys in runs]),
        strict=True,
    )
    for (count, queries, keys), q, k, v in pieces:
        mask = None
        sources = [keys - queries] if layout.merged else ()
        if layout.merged:
            mask = _merged_mask(layout, queries, keys, sources, q.device)
        elif layout.window is not None and max(queries, keys) > layout.window:
            mask = _distance_mask(queries, keys, layout.causal, layout.window, q.device)
        if bias_HLL is not None:
            mask = _biased(mask, bias_HLL, queries, sources, keys)
        mixed = _attend(
            q.unflatten(0, (count, queries)).transpose(1, 2),
            k.unflatten(0, (count, keys)).transpose(1, 2),
            v.unflatten(0, (count, keys)).transpose(1, 2),
            config,
            mask=mask,
            causal=layout.causal and mask is None,
            dropout=dropout,
        )
        outputs.append(mixed.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs)


def attend_padded(
    q_THD: Tensor,
    k_UKD: Tensor,
    v_UKD: Tensor,
    layout: Layout,
    config: AttentionConfig,
    *,
    bias_HLL: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """`attend_packed` in one call over padded rectangles, for devices that like few large calls.

    Shape: as `attend_packed`, but [T, H, D] out.
    """
    longest_query, longest_key = max(layout.query_lengths), max(layout.key_lengths)
    sources = layout.source_lengths
    device = q_THD.device
    lengths_B = torch.tensor(layout.key_lengths, device=device)
    mask_B11S = (torch.arange(longest_key, device=device) < lengths_B[:, None])[:, None, None]
    mask = mask_B11S
    if layout.merged:
        mask = mask & _merged_mask(layout, longest_query, longest_key, sources, device)
    elif layout.causal or layout.window is not None:
        distance = _distance_mask(longest_query, longest_key, layout.causal, layout.window, device)
        mask = mask & distance
    # A padded query with a window may see no key at all, and softmax would give NaN.
    mask = mask | ~mask.any(-1, keepdim=True)
    if bias_HLL is not None:
        mask = _biased(mask, bias_HLL, longest_query, sources, longest_key)
    mixed = _attend(
        pad(q_THD, layout.query_lengths).transpose(1, 2),
        pad(k_UKD, layout.key_lengths).transpose(1, 2),
        pad(v_UKD, layout.key_lengths).transpose(1, 2),
        config,
        mask=mask,
        causal=False,
        dropout=dropout,
    )
    return unpad(mixed.transpose(1, 2), layout.query_lengths)


def attend_cached(
    q_BMHD: Tensor,
    k_BKSD: Tensor,
    v_BKSD: Tensor,
    mask_BMS: Tensor | None,
    config: AttentionConfig,
    bias_BHMS: Tensor | None = None,
) -> Tensor:
    """Attention of a few queries to cached keys, as plain batched products.

    With one query a sequence these are faster than a fused kernel on a CPU.

    Args:
        q_BMHD: queries; M is the tokens, or the beams, of one source. Shape: [B, M, H, D]
        k_BKSD: keys. Shape: [B, K, S, D]
        v_BKSD: values. Shape: [B, K, S, D]
        mask_BMS: keys that each query sees; None: all. Shape: [B, M or 1, S]
        config: scale, grouping and soft cap.
        bias_BHMS: added to the scores. Shape: [B, H, M, S]

    Returns:
        Shape: [B, M, H * D]
    """
    weights = attend_scores(q_BMHD, k_BKSD, mask_BMS, config, bias_BHMS).softmax(-1)
    return _cached_mix(weights, v_BKSD, q_BMHD.shape[1])


def attend_cached_merged(
    q_RNHD: Tensor,
    k_RKTD: Tensor,
    v_RKTD: Tensor,
    mask_RNT: Tensor | None,
    source: tuple[Tensor, Tensor],
    source_mask_B1S: Tensor | None,
    config: AttentionConfig,
    bias_RHNT: Tensor | None = None,
) -> Tensor:
    """Attention of a few queries to cached keys of the target and of the source in one softmax.

    R rows, N tokens of each; the rows of a source (its beams) are adjacent and share its keys and
    values, of shape [B, K, S, D] each. Shape: as `attend_cached`, [R, N, H * D] out.
    """
    source_k_BKSD, source_v_BKSD = source
    rows, tokens = q_RNHD.shape[:2]
    beams = rows // source_k_BKSD.shape[0]
    by_source = q_RNHD.reshape(-1, beams * tokens, *q_RNHD.shape[2:])
    own = attend_scores(q_RNHD, k_RKTD, mask_RNT, config, bias_RHNT)
    cross = attend_scores(by_source, source_k_BKSD, source_mask_B1S, config)
    # [B, K, G * beams * N, S] -> [R, K, G * N, S], and back.
    groups = config.heads // config.key_value_heads
    parts = cross.unflatten(2, (groups, beams, tokens)).permute(0, 3, 1, 2, 4, 5)
    cross = parts.reshape(rows, config.key_value_heads, groups * tokens, -1)
    weights = torch.cat((own, cross), dim=-1).softmax(-1)
    own, cross = weights.split((own.shape[-1], cross.shape[-1]), dim=-1)
    parts = cross.reshape(-1, beams, config.key_value_heads, groups, tokens, cross.shape[-1])
    cross = parts.permute(0, 2, 3, 1, 4, 5).flatten(2, 4)
    mixed = _cached_mix(cross, source_v_BKSD, beams * tokens).reshape(rows, tokens, -1)
    return mixed + _cached_mix(own, v_RKTD, tokens)


def attend_scores(
    q_BMHD: Tensor,
    k_BKSD: Tensor,
    mask_BMS: Tensor | None,
    config: AttentionConfig,
    bias_BHMS: Tensor | None = None,
) -> Tensor:
    """Scaled, capped, biased and masked scores, in float32. Shape: [B, K, G * M, S]"""
    batch, queries, heads, size = q_BMHD.shape
    groups = heads // config.key_value_heads
    q = (q_BMHD * config.score_scale).view(batch, queries, config.key_value_heads, groups, size)
    q_BKXD = q.permute(0, 2, 3, 1, 4).reshape(batch, config.key_value_heads, -1, size)
    if torch.compiler.is_exporting():
        # A compiler makes one loop of it, which for a few queries a head costs less than a call.
        scores = (q_BKXD[:, :, :, None] * k_BKSD[:, :, None]).sum(-1).float()
    else:
        scores = torch.matmul(q_BKXD, k_BKSD.mT).float()
    if config.soft_cap is not None:
        scores = config.soft_cap * torch.tanh(scores / config.soft_cap)
    if bias_BHMS is not None:
        bias = bias_BHMS.unflatten(1, (config.key_value_heads, groups))
        scores = (scores.unflatten(2, (groups, queries)) + bias).flatten(2, 3)
    if mask_BMS is not None:
        scores = scores.unflatten(2, (groups, queries))
        scores = scores.masked_fill(~mask_BMS[:, None, None], float("-inf")).flatten(2, 3)
    return scores


def _cached_mix(weights_BKXS: Tensor, v_BKSD: Tensor, queries: int) -> Tensor:
    """Weighted values, heads side by side. Shape: [B, K, G * M, S] -> [B, M, H * D]"""
    weights = weights_BKXS.to(v_BKSD.dtype)
    if torch.compiler.is_exporting():
        mixed_BKXD = (weights[..., None] * v_BKSD[:, :, None]).sum(3)
    else:
        mixed_BKXD = torch.matmul(weights, v_BKSD)
    mixed: Tensor = mixed_BKXD.unflatten(2, (-1, queries)).permute(0, 3, 1, 2, 4).flatten(2)
    return mixed


def _attend(
    q_BHLD: Tensor,
    k_BKSD: Tensor,
    v_BKSD: Tensor,
    config: AttentionConfig,
    *,
    mask: Tensor | None,
    causal: bool,
    dropout: float,
) -> Tensor:
    grouped = config.heads != config.key_value_heads
    if config.soft_cap is None:
        return F.scaled_dot_product_attention(
            q_BHLD,
            k_BKSD,
            v_BKSD,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=causal,
            scale=config.scale,
            enable_gqa=grouped,
        )
    # The fused kernel has no soft cap.
    if grouped:
        k_BKSD, v_BKSD = (
            x.repeat_interleave(config.heads // config.key_value_heads, dim=1)
            for x in (k_BKSD, v_BKSD)
        )
    scores = (q_BHLD @ k_BKSD.mT).float() * config.score_scale
    scores = config.soft_cap * torch.tanh(scores / config.soft_cap)
    if causal:
        mask = _distance_mask(q_BHLD.shape[2], k_BKSD.shape[2], True, None, q_BHLD.device)
    if mask is not None:
        scores = (
            scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
        )
    weights = F.dropout(scores.softmax(-1), dropout).to(v_BKSD.dtype)
    mixed: Tensor = weights @ v_BKSD
    return mixed


def _runs(layout: Layout) -> Iterator[tuple[int, int, int]]:
    """(sequences, queries of each, keys of each) of each run of equal lengths."""
    pairs = zip(layout.query_lengths, layout.key_lengths, strict=True)
    for (queries, keys), run in groupby(pairs):
        yield sum(1 for _ in run), queries, keys


def _biased(
    mask: Tensor | None, bias_HLL: Tensor, queries: int, sources: Sequence[int], keys: int
) -> Tensor:
    """The bias, with minus infinity where the mask is false.

    Shape: [B, H, queries, keys], or with 1 for B where all are equal. Four axes, because the fused
    kernels do not accept three.
    """
    bias = bias_HLL[None, :, :queries, :keys]
    if sources:
        longest = bias_HLL.shape[-1]
        own = [min(keys - source, longest) for source in sources]
        pieces = [
            F.pad(bias_HLL[:, :queries, :count], (source, keys - source - count))
            for source, count in zip(sources, own, strict=True)
        ]
        bias = torch.stack(pieces)
    return bias if mask is None else bias.masked_fill(~mask, float("-inf"))


def _distance_mask(
    queries: int, keys: int, causal: bool, window: int | None, device: torch.device
) -> Tensor:
    """True where a query sees a key. Shape: [queries, keys]"""
    distance = torch.arange(queries, device=device)[:, None] - torch.arange(keys, device=device)
    mask = distance >= 0 if causal else torch.ones_like(distance, dtype=torch.bool)
    return mask if window is None else mask & (distance.abs() < window)


def _merged_mask(
    layout: Layout, queries: int, keys: int, sources: Sequence[int], device: torch.device
) -> Tensor:
    """True where a query sees a key; the first `sources` keys of each sequence are its source's.

    Shape: [B, 1, queries, keys]
    """
    sources_B11 = torch.tensor(sources, device=device)[:, None, None]
    slots = torch.arange(keys, device=device)
    distance = torch.arange(queries, device=device)[:, None] + sources_B11 - slots
    mask = distance >= 0 if layout.causal else torch.ones_like(distance, dtype=torch.bool)
    if layout.window is not None:
        mask = mask & (distance.abs() < layout.window)
    return (mask | (slots < sources_B11))[:, None]
