"""One decoding step as a function of tensors only, which can be compiled or recorded.

The properties of a call that change the computation are a `StepForm`; sizes are free.

Shape legend: B sources, M beams of each, R = B * M rows decoded together, N new tokens a row,
C slots of the cache, S source tokens, K key/value heads, D head size, V vocabulary.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.key_value_cache import Cache, causal_mask

if TYPE_CHECKING:
    from torch.export import Dim, ExportedProgram

__all__ = ["StepForm", "TracedStep", "arguments", "traced"]

# Sizes to compile with: kernels are chosen for them, and work for others too.
_SOURCES, _TOKENS, _SLOTS, _SOURCE_TOKENS = 8, 5, 64, 48


@dataclass(frozen=True, slots=True)
class StepForm:
    """What a compiled step is specialised for. Kernels for a single item are simpler."""

    beams: int  # rows of each source
    many_sources: bool  # two or more
    many_tokens: bool  # two or more new tokens a row: a draft

    @classmethod
    def of(cls, tokens_RN: Tensor, cache: Cache) -> "StepForm":
        """The form of a step."""
        rows, tokens = tokens_RN.shape
        return cls(rows // cache.sources, cache.sources > 1, tokens > 1)


class TracedStep(nn.Module):
    """Decoder and head."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.decoder, self.head = model.decoder, model.head

    def forward(
        self,
        tokens_RN: Tensor,
        positions_RN: Tensor,
        keys: list[Tensor],
        values: list[Tensor],
        source_keys: list[Tensor],
        source_values: list[Tensor],
        source_mask_B1S: Tensor,
    ) -> Tensor:
        """Logits of each token's successor; its keys and values are written into the cache.

        Args:
            tokens_RN: the next tokens. Shape: [R, N]
            positions_RN: their positions. Shape: [R, N]
            keys: the cache's, of every layer. Shape of each: [R, K, C, D]
            values: the same.
            source_keys: of every layer; none without cross-attention. Shape of each: [B, K, S, D]
            source_values: the same.
            source_mask_B1S: True where a source has a token. Shape: [B, 1, S]

        Returns:
            Shape: [R, N, V]
        """
        source = list(zip(source_keys, source_values, strict=True))
        slots = _TracedSlots(positions_RN, keys, values, source, source_mask_B1S)
        logits: Tensor = self.head(self.decoder.step(tokens_RN, slots))
        return logits


class _TracedSlots:
    """A `CacheView` whose computation does not depend on the rows' lengths."""

    def __init__(
        self,
        positions_RN: Tensor,
        keys: list[Tensor],
        values: list[Tensor],
        cross: list[tuple[Tensor, Tensor]],
        source_mask_B1S: Tensor,
    ) -> None:
        self._positions_RN, self._keys, self._values = positions_RN, keys, values
        self.cross = cross
        self.source_mask_B1S: Tensor | None = source_mask_B1S

    def positions(self, _tokens: int) -> Tensor:
        return self._positions_RN

    def slots(self, _tokens: int) -> int:
        return self._keys[0].shape[2]

    def extend(self, layer: int, k_RNKD: Tensor, v_RNKD: Tensor) -> tuple[Tensor, Tensor]:
        keys, values = self._keys[layer], self._values[layer]
        rows_R1 = torch.arange(k_RNKD.shape[0], device=k_RNKD.device)[:, None]
        keys[rows_R1, :, self._positions_RN] = k_RNKD
        values[rows_R1, :, self._positions_RN] = v_RNKD
        return keys, values

    def mask(self, tokens: int, window: int | None) -> Tensor:
        return causal_mask(self._positions_RN, self.slots(tokens), window)

    def advance(self, tokens: int, lengths: tuple[int, ...] | None = None) -> None:
        """Done by the cache itself."""


def arguments(
    tokens_RN: Tensor, cache: Cache
) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor], list[Tensor], list[Tensor], Tensor]:
    """Arguments of `TracedStep` for a cache, which must `advance` afterwards."""
    tokens = tokens_RN.shape[1]
    positions_RN = cache.positions(tokens)
    keys, values = cache.storage(tokens)
    source_keys = [pair[0] for pair in cache.cross]
    source_values = [pair[1] for pair in cache.cross]
    mask_B1S = cache.source_mask_B1S
    if mask_B1S is None:
        slots = source_keys[0].shape[2] if source_keys else 2
        shape = (cache.sources, 1, slots)
        mask_B1S = torch.ones(shape, dtype=torch.bool, device=tokens_RN.device)
    # Compiled code expects the memory layout that it was compiled with.
    return tokens_RN.contiguous(), positions_RN, keys, values, source_keys, source_values, mask_B1S


@torch.no_grad()
def traced(step: TracedStep, form: StepForm) -> "ExportedProgram":
    """The step for the compiler, with sizes that vary as far as the form allows.

    Args:
        step: in evaluation mode.
        form: the form to specialise for.
    """
    from torch.export import Dim, export

    config = step.decoder.config
    sources = _SOURCES if form.many_sources else 1
    rows, tokens = sources * form.beams, _TOKENS if form.many_tokens else 1
    cache = Cache(config, rows, _SLOTS, next(step.parameters()), sources)
    if config.cross_attention is not None:
        shape = (sources, config.attention.key_value_heads, _SOURCE_TOKENS)
        like = next(step.parameters())
        pair = (like.new_zeros((*shape, config.attention.head_size)),) * 2
        cache.cross = [(pair[0].clone(), pair[1].clone()) for _ in range(config.layers)]
    inputs = arguments(torch.zeros((rows, tokens), dtype=torch.long), cache)
    source = Dim("sources", min=2) if form.many_sources else None
    row = None if source is None else source * form.beams if form.beams > 1 else source
    token = Dim("tokens", min=2) if form.many_tokens else None
    slot = Dim("slots", min=2)
    source_token = Dim("source_tokens", min=2)
    of_tokens = _free({0: row, 1: token})
    of_cache = [_free({0: row, 2: slot})] * config.layers
    of_source = [_free({0: source, 2: source_token})] * len(cache.cross)
    of_mask = _free({0: source, 2: source_token if cache.cross else None})
    shapes = (of_tokens, of_tokens, of_cache, of_cache, of_source, of_source, of_mask)
    return export(step, inputs, dynamic_shapes=shapes, strict=False)


def _free(sizes: "dict[int, Dim | None]") -> "dict[int, Dim]":
    return {axis: size for axis, size in sizes.items() if size is not None}
