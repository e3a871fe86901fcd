"""The two attention sublayers, with fused projections.

Shape legend: T target tokens of all sequences together, S source tokens, R rows decoded side by
side, N new tokens a row, H hidden size.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from warmstart.model.attend import attend_cached, attend_packed
from warmstart.model.cache import Cache
from warmstart.model.config import StackConfig
from warmstart.model.norm import norm
from warmstart.model.position import Rotation, rotate
from warmstart.model.sublayer import Sublayer

__all__ = ["CrossAttention", "SelfAttention"]


class SelfAttention(Sublayer):
    """Attention within a sequence. `qkv` holds query, key and value rows, in this order."""

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
            self.query_norm = norm(self.config.query_key_norm, self.config.head_size)
            self.key_norm = norm(self.config.query_key_norm, self.config.head_size)

    def forward(
        self, hidden_TH: Tensor, lengths: Sequence[int], rotation: Rotation | None, *, causal: bool
    ) -> Tensor:
        """Over whole sequences. Shape: [T, H] -> [T, H]

        ``causal`` is the caller's, so that an encoder and a decoder can share this module.
        """
        q, k, v = self._project(self.enter(hidden_TH), rotation)
        mixed = attend_packed(
            q,
            k,
            v,
            lengths,
            lengths,
            self.config,
            causal=causal,
            window=self.window,
            dropout=self.config.dropout if self.training else 0.0,
        )
        return self.leave(hidden_TH, self.output(mixed))

    def step(self, hidden_RNH: Tensor, cache: Cache, rotation: Rotation | None) -> Tensor:
        """Over the next tokens of each row. Shape: [R, N, H] -> [R, N, H]"""
        q, k, v = self._project(self.enter(hidden_RNH), rotation)
        keys, values = cache.extend(self.layer, k, v)
        mask = cache.mask(hidden_RNH.shape[1], self.window)
        return self.leave(
            hidden_RNH, self.output(attend_cached(q, keys, values, mask, self.config))
        )

    def _project(self, x: Tensor, rotation: Rotation | None) -> tuple[Tensor, Tensor, Tensor]:
        heads, kv_heads = self.config.heads, self.config.key_value_heads
        qkv = self.qkv(x).unflatten(-1, (-1, self.config.head_size))
        q, k, v = qkv.split((heads, kv_heads, kv_heads), dim=-2)
        if self.config.query_key_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        return q, k, v


class CrossAttention(Sublayer):
    """Attention of the target to the source. `key_value` holds key rows, then value rows."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__(config)
        self.config = config.attention
        size = self.config.head_size
        bias = self.config.query_key_value_bias
        self.query = nn.Linear(config.hidden_size, self.config.heads * size, bias)
        self.key_value = nn.Linear(config.hidden_size, 2 * self.config.key_value_heads * size, bias)
        self.output = nn.Linear(
            self.config.heads * size, config.hidden_size, self.config.output_bias
        )

    def forward(
        self,
        hidden_TH: Tensor,
        lengths: Sequence[int],
        states_SH: Tensor,
        source_lengths: Sequence[int],
    ) -> Tensor:
        """Over whole sequences. Shape: [T, H], [S, H] -> [T, H]"""
        q = self.query(self.enter(hidden_TH)).unflatten(-1, (-1, self.config.head_size))
        k, v = self.keys_values(states_SH)
        mixed = attend_packed(
            q,
            k,
            v,
            lengths,
            source_lengths,
            self.config,
            causal=False,
            dropout=self.config.dropout if self.training else 0.0,
        )
        return self.leave(hidden_TH, self.output(mixed))

    def step(
        self, hidden_RNH: Tensor, keys_values: tuple[Tensor, Tensor], mask: Tensor | None
    ) -> Tensor:
        """Over the next tokens of each row. Shape: [R, N, H] -> [R, N, H]

        Rows of one source (its beams) stand side by side and meet its keys as one set of queries,
        so keys and values are held once per source.
        """
        keys, values = keys_values
        q = self.query(self.enter(hidden_RNH)).unflatten(-1, (-1, self.config.head_size))
        by_source = q.reshape(keys.shape[0], -1, *q.shape[2:])
        mixed = attend_cached(by_source, keys, values, mask, self.config)
        return self.leave(hidden_RNH, self.output(mixed.reshape(*q.shape[:2], -1)))

    def keys_values(self, states_SH: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the source. Shape: [S, H] -> two of [S, kv heads, head size]"""
        kv = self.key_value(states_SH).unflatten(-1, (-1, self.config.head_size))
        keys, values = kv.chunk(2, dim=-2)
        return keys, values
