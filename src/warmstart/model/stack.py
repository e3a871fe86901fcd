"""A transformer stack: encoder or decoder, whatever the family.

Shape legend: T tokens of all sequences together, S source tokens, R rows decoded side by side,
N new tokens a row, H hidden size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from warmstart.model.attention import CrossAttention, SelfAttention
from warmstart.model.config import LinearBias, StackConfig
from warmstart.model.embedding import Embedding
from warmstart.model.feedforward import FeedForward
from warmstart.model.key_value_cache import Cache, CacheView
from warmstart.model.norm import norm
from warmstart.model.position import Rotation, rotation
from warmstart.model.relative_bias import LinearBiases, RelativeBiasTable
from warmstart.model.sequences import Sequences, pad

__all__ = ["Block", "Stack"]


class Block(nn.Module):
    """Self-attention, cross-attention where the stack has it, feed-forward."""

    def __init__(self, config: StackConfig, layer: int) -> None:
        super().__init__()
        self.merged = config.cross_attention == "merged"
        self.parallel = config.parallel_feed_forward
        self.self_attention = SelfAttention(config, layer)
        self.cross_attention: CrossAttention | None = None
        if config.cross_attention in ("plain", "gated"):
            self.cross_attention = CrossAttention(config)
        self.feed_forward = FeedForward(config)
        if config.shared_norm:
            self.feed_forward.norm = self.self_attention.norm

    def forward(
        self,
        hidden_TH: Tensor,
        lengths: Sequence[int],
        rotation: Rotation | None,
        bias_HLL: Tensor | None,
        states_SH: Tensor | None,
        source_lengths: Sequence[int],
        *,
        causal: bool,
    ) -> Tensor:
        """Over full sequences, see `Stack.forward`. Shape: [T, H] -> [T, H]"""
        hidden = self.self_attention(
            hidden_TH,
            lengths,
            rotation,
            causal=causal,
            bias_HLL=bias_HLL,
            states_SH=states_SH if self.merged else None,
            source_lengths=source_lengths,
        )
        if self.cross_attention is not None:
            hidden = self.cross_attention(hidden, lengths, states_SH, source_lengths)
        read_TH = hidden_TH if self.parallel else hidden
        output: Tensor = self.feed_forward(hidden, read_TH)
        return output


class Stack(nn.Module):
    """Embeddings, blocks and final norm of a `StackConfig`.

    Attributes:
        recomputes: whether a block keeps only its input for the backward pass and computes the
            rest again (activation checkpointing, Chen et al. 2016).
    """

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.config = config
        self.recomputes = False
        self.embedding = Embedding(config)
        self.relative_bias: RelativeBiasTable | LinearBiases | None = None
        if isinstance(config.relative_bias, LinearBias):
            self.relative_bias = LinearBiases(config.attention.heads)
        elif config.relative_bias is not None:
            self.relative_bias = RelativeBiasTable(config.relative_bias, config.attention.heads)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.final_norm = norm(config.norm, config.hidden_size) if config.final_norm else None
        self.final_dropout = nn.Dropout(config.dropout) if config.final_dropout else None
        self.pooler: nn.Linear | None = None
        if config.pooler:
            self.pooler = nn.Linear(config.hidden_size, config.hidden_size).requires_grad_(False)

    def forward(
        self,
        sequences: Sequences,
        states_SH: Tensor | None = None,
        source_lengths: Sequence[int] = (),
    ) -> Tensor:
        """Last hidden states of full sequences.

        Args:
            sequences: B sequences, T tokens in total.
            states_SH: encoder states for cross-attention, packed. Shape: [S, H]
            source_lengths: states of each source. Shape: [B]

        Returns:
            Shape: [T, H]
        """
        assert states_SH is not None or self.config.cross_attention is None
        positions_T = sequences.positions()
        rotations = self._rotations(positions_T)
        bias_HLL = None
        if self.relative_bias is not None:
            bias_HLL = self.relative_bias(max(sequences.lengths), causal=self.config.causal)
        hidden = self.embedding(sequences.tokens, positions_T)
        recomputes = self.recomputes and torch.is_grad_enabled()
        for block in self._blocks():
            inputs = (
                hidden,
                sequences.lengths,
                rotations.get(block.self_attention.window is not None),
                bias_HLL,
                states_SH,
                source_lengths,
            )
            if recomputes:
                hidden = checkpoint(block, *inputs, causal=self.config.causal, use_reentrant=False)
            else:
                hidden = block(*inputs, causal=self.config.causal)
        return self._finish(hidden)

    def start_cache(
        self,
        rows: int,
        capacity: int,
        states_SH: Tensor | None = None,
        source_lengths: Sequence[int] = (),
    ) -> Cache:
        """A cache for decoding, with the source's keys and values.

        Args:
            rows: sequences to decode together: the sources times the beams.
            capacity: maximum number of tokens of a row.
            states_SH: encoder states. Shape: [S, H]
            source_lengths: states of each source. Shape: [B]
        """
        like = next(self.parameters()) if states_SH is None else states_SH
        cache = Cache(self.config, rows, capacity, like, len(source_lengths) or None)
        if states_SH is None:
            return cache
        for block in self._blocks():
            if block.cross_attention is None:  # merged
                keys, values = block.self_attention.source_keys_values(states_SH)
            else:
                keys, values = block.cross_attention.keys_values(states_SH)
            cache.cross.append(
                (
                    pad(keys, source_lengths).transpose(1, 2).contiguous(),
                    pad(values, source_lengths).transpose(1, 2).contiguous(),
                )
            )
        if len(set(source_lengths)) > 1:
            lengths_B = torch.tensor(source_lengths, device=like.device)
            slots = torch.arange(max(source_lengths), device=like.device)
            cache.source_mask_B1S = (slots < lengths_B[:, None])[:, None]
        return cache

    def step(
        self, tokens_RN: Tensor, cache: CacheView, lengths: tuple[int, ...] | None = None
    ) -> Tensor:
        """Hidden states of the next tokens of each row, which are added to the cache.

        Args:
            tokens_RN: the next tokens; several are a prefix or a draft. Shape: [R, N]
            cache: from `start_cache`.
            lengths: number of real tokens, where rows differ. Shape: [R]

        Returns:
            Shape: [R, N, H]
        """
        positions_RN = cache.positions(tokens_RN.shape[1])
        rotations = self._rotations(positions_RN)
        bias_RHNS = None
        if self.relative_bias is not None:
            bias_RHNS = self.relative_bias.step(positions_RN, cache.slots(tokens_RN.shape[1]))
        hidden = self.embedding(tokens_RN, positions_RN)
        merged = self.config.cross_attention == "merged"
        for block in self._blocks():
            entered = hidden
            attention = block.self_attention
            rotation = rotations.get(attention.window is not None)
            hidden = attention.step(hidden, cache, rotation, merged=merged, bias_RHNS=bias_RHNS)
            if block.cross_attention is not None:
                hidden = block.cross_attention.step(
                    hidden, cache.cross[attention.layer], cache.source_mask_B1S
                )
            hidden = block.feed_forward(
                hidden, entered if self.config.parallel_feed_forward else hidden
            )
        cache.advance(tokens_RN.shape[1], lengths)
        return self._finish(hidden)

    def _blocks(self) -> list[Block]:
        return list(self.blocks)  # type: ignore[arg-type]  # a ModuleList has no element type

    def _finish(self, hidden: Tensor) -> Tensor:
        finished = hidden if self.final_norm is None else self.final_norm(hidden)
        return finished if self.final_dropout is None else self.final_dropout(finished)

    def _rotations(self, positions_T: Tensor) -> dict[bool, Rotation]:
        """Angles for global layers (False) and layers with a window (True), computed once."""
        if self.config.rotary is None:
            return {}
        size = self.config.attention.head_size
        kinds = {self.config.window(layer) is not None for layer in range(self.config.layers)}
        return {
            local: rotation(self.config.rotary, size, positions_T, local=local) for local in kinds
        }
