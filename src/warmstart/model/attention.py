"""The two attention sublayers, with fused projections.

A decoder attends to the source in one of three ways, `CrossAttentionKind`:

- plain: a sublayer of its own between self-attention and feed-forward;
- gated: the same, times the tanh of a gate (Alayrac et al. 2022, Flamingo, section 2.2);
- merged: no sublayer; self-attention's own projections make keys and values of the encoder states
  too, and one softmax runs over both (Zhang et al. 2025, T5Gemma 2, section 2).

Shape legend: T target tokens of all sequences together, S source tokens, R rows decoded side by
side, N new tokens a row, H hidden size, K key/value heads, D head size.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from warmstart.model.attend import attend_cached, attend_cached_merged, attend_packed
from warmstart.model.config import StackConfig
from warmstart.model.key_value_cache import CacheView
from warmstart.model.layout import Layout
from warmstart.model.norm import head_norm
from warmstart.model.position import Rotation, rotate
from warmstart.model.sequences import join
from warmstart.model.sublayer import Sublayer

__all__ = ["CrossAttention", "SelfAttention"]


class SelfAttention(Sublayer):
    """Attention within a sequence. The rows of `qkv` are query, key and value, in this order."""

    def __init__(self, config: StackConfig, layer: int) -> None:
        super().__init__(config, normed=layer > 0 or config.first_attention_norm)
        self.config = config.attention
        self.layer = layer
        self.window = config.window(layer)
        heads = self.config.heads + 2 * self.config.key_value_heads
        self.qkv = nn.Linear(
            config.hidden_size, heads * self.config.head_size, self.config.query_key_value_bias
        )
        self.output = nn.Linear(
            self.config.heads * self.config.head_size, config.hidden_size, self.config.output_bias
        )
        if self.config.query_key_norm is not None:
            self.query_norm = head_norm(self.config, self.config.heads)
            self.key_norm = head_norm(self.config, self.config.key_value_heads)
        rotates = None if config.rotary is None else config.rotary.layers
        self.rotates = rotates is None or rotates[layer]

    def forward(
        self,
        hidden_TH: Tensor,
        lengths: Sequence[int],
        rotation: Rotation | None,
        *,
        causal: bool,
        bias_HLL: Tensor | None = None,
        states_SH: Tensor | None = None,
        source_lengths: Sequence[int] = (),
    ) -> Tensor:
        """Over full sequences. Shape: [T, H] -> [T, H]

        ``causal`` is an argument, so that an encoder and a decoder can share this module.
        ``bias_HLL`` is added to the scores, see `attend.py`.
        ``states_SH`` are encoder states to attend to as well: merged attention.
        """
        q, k, v = self.project(self.enter(hidden_TH), rotation)
        key_lengths = lengths
        if states_SH is not None:
            source_keys, source_values = self.source_keys_values(states_SH)
            k = join(source_keys, source_lengths, k, lengths)
            v = join(source_values, source_lengths, v, lengths)
            key_lengths = [s + t for s, t in zip(source_lengths, lengths, strict=True)]
        layout = Layout(
            lengths,
            key_lengths,
            causal=causal,
            window=self.window,
            merged=states_SH is not None,
        )
        mixed = attend_packed(
            q,
            k,
            v,
            layout,
            self.config,
            bias_HLL=bias_HLL,
            dropout=self.config.dropout if self.training else 0.0,
        )
        return self.leave(hidden_TH, self.output(mixed))

    def step(
        self,
        hidden_RNH: Tensor,
        cache: CacheView,
        rotation: Rotation | None,
        *,
        merged: bool,
        bias_RHNS: Tensor | None = None,
    ) -> Tensor:
        """Over the next tokens of each row. Shape: [R, N, H] -> [R, N, H]"""
        q, k, v = self.project(self.enter(hidden_RNH), rotation)
        keys, values = cache.extend(self.layer, k, v)
        mask = cache.mask(hidden_RNH.shape[1], self.window)
        if merged:
            source, source_mask = cache.cross[self.layer], cache.source_mask_B1S
            mixed = attend_cached_merged(
                q, keys, values, mask, source, source_mask, self.config, bias_RHNS
            )
        else:
            mixed = attend_cached(q, keys, values, mask, self.config, bias_RHNS)
        return self.leave(hidden_RNH, self.output(mixed))

    def source_keys_values(self, states_SH: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of encoder states, for merged attention. Shape: [S, H] -> two [S, K, D]

        They are not rotated: the encoder has its own positions.
        """
        kv = _linear_rows(
            self.qkv, states_SH, slice(self.config.heads * self.config.head_size, None)
        )
        keys, values = kv.unflatten(-1, (-1, self.config.head_size)).chunk(2, dim=-2)
        return keys if self.config.query_key_norm is None else self.key_norm(keys), values

    def project(self, x: Tensor, rotation: Rotation | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the output of `enter`. Shape: [..., H] -> [..., heads, D]"""
        heads, kv_heads = self.config.heads, self.config.key_value_heads
        qkv = self.qkv(x).unflatten(-1, (-1, self.config.head_size))
        q, k, v = qkv.split((heads, kv_heads, kv_heads), dim=-2)
        if self.config.query_key_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        if rotation is not None and self.rotates:
            q, k = rotate(q, rotation), rotate(k, rotation)
        return q, k, v


class CrossAttention(Sublayer):
    """Attention of the target to the source. The rows of `key_value` are keys, then values.

    If it shares its projections with self-attention, it has `qkv` instead of `query` and
    `key_value`.
    """

    def __init__(self, config: StackConfig) -> None:
        super().__init__(config, gated=config.cross_attention == "gated")
        self.config = config.attention
        size = self.config.head_size
        bias = self.config.query_key_value_bias
        self.qkv: nn.Linear | None = None
        self.query = nn.Linear(config.hidden_size, self.config.heads * size, bias)
        self.key_value = nn.Linear(
            config.source_size or config.hidden_size, 2 * self.config.key_value_heads * size, bias
        )
        self.output = nn.Linear(
            self.config.heads * size, config.hidden_size, self.config.output_bias
        )
        if self.config.query_key_norm is not None:
            self.query_norm = head_norm(self.config, self.config.heads)
            self.key_norm = head_norm(self.config, self.config.key_value_heads)

    def share_projections(self, attention: SelfAttention) -> None:
        """Uses the projections of self-attention."""
        del self.query, self.key_value
        self.qkv, self.output = attention.qkv, attention.output
        if self.config.query_key_norm is not None:
            self.query_norm, self.key_norm = attention.query_norm, attention.key_norm

    def forward(
        self,
        hidden_TH: Tensor,
        lengths: Sequence[int],
        states_SH: Tensor,
        source_lengths: Sequence[int],
    ) -> Tensor:
        """Over full sequences. Shape: [T, H], [S, H] -> [T, H]"""
        k, v = self.keys_values(states_SH)
        mixed = attend_packed(
            self.queries(self.enter(hidden_TH)),
            k,
            v,
            Layout(lengths, source_lengths, causal=False),
            self.config,
            dropout=self.config.dropout if self.training else 0.0,
        )
        return self.leave(hidden_TH, self.output(mixed))

    def step(
        self, hidden_RNH: Tensor, keys_values: tuple[Tensor, Tensor], mask: Tensor | None
    ) -> Tensor:
        """Over the next tokens of each row. Shape: [R, N, H] -> [R, N, H]

        Rows of one source (its beams) are adjacent and form one set of queries, so that keys and
        values exist once per source.
        """
        keys, values = keys_values
        q = self.queries(self.enter(hidden_RNH))
        by_source = q.reshape(keys.shape[0], -1, *q.shape[2:])
        mixed = attend_cached(by_source, keys, values, mask, self.config)
        return self.leave(hidden_RNH, self.output(mixed.reshape(*q.shape[:2], -1)))

    def keys_values(self, states_SH: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the source. Shape: [S, H] -> two of [S, K, D]"""
        if self.qkv is None:
            kv = self.key_value(states_SH)
        else:
            rows = slice(self.config.heads * self.config.head_size, None)
            kv = _linear_rows(self.qkv, states_SH, rows)
        keys, values = kv.unflatten(-1, (-1, self.config.head_size)).chunk(2, dim=-2)
        return keys if self.config.query_key_norm is None else self.key_norm(keys), values

    def queries(self, x: Tensor) -> Tensor:
        """Queries of the output of `enter`. Shape: [..., H] -> [..., heads, D]"""
        if self.qkv is None:
            q = self.query(x)
        else:
            q = _linear_rows(self.qkv, x, slice(self.config.heads * self.config.head_size))
        heads: Tensor = q.unflatten(-1, (-1, self.config.head_size))
        return heads if self.config.query_key_norm is None else self.query_norm(heads)


def _linear_rows(linear: nn.Module, x: Tensor, rows: slice) -> Tensor:
    """The output of some rows of a linear layer."""
    if type(linear) is not nn.Linear:  # with an adapter, or replaced for decoding
        output: Tensor = linear(x)
        return output[..., rows]
    bias: Tensor | None = linear.bias  # torch's types do not say that it may be missing
    return F.linear(x, linear.weight[rows], None if bias is None else bias[rows])
