"""SmolLM 3: Llama's blocks, some of them without positions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from warmstart.families.family import Config, field
from warmstart.families.llama import decoder_family, llama_stack
from warmstart.families.rotary import windows
from warmstart.model.config import HeadConfig, StackConfig

__all__ = ["SMOLLM3"]

# transformers' defaults of values missing from config.json.
_DEFAULTS = {
    "vocab_size": 128_256,
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "rope_theta": 2_000_000.0,
}


def _by_layer(config: Config) -> Mapping[str, list[Any]]:
    """1 for each layer with rotary positions, else 0."""
    every = field(config, "no_rope_layer_interval", 4)
    layers = range(field({**_DEFAULTS, **config}, "num_hidden_layers"))
    default = [int((layer + 1) % every != 0) for layer in layers]
    return {"no_rope_layers": list(field(config, "no_rope_layers", default))}


def _stack(config: Config) -> StackConfig:
    values = {**_DEFAULTS, **config, "head_dim": None}
    stack = llama_stack(values)
    assert stack.rotary is not None
    rotated = tuple(bool(value) for value in _by_layer(config)["no_rope_layers"][: stack.layers])
    span = values.get("sliding_window") if field(values, "use_sliding_window", False) else None
    return replace(
        stack,
        feed_forward=replace(stack.feed_forward, bias=field(values, "mlp_bias", False)),
        rotary=replace(stack.rotary, layers=rotated),
        windows=windows(values, stack.layers, span, lambda layer: not rotated[layer]),
    )


def _head(config: Config) -> HeadConfig:
    return HeadConfig(tied=field(config, "tie_word_embeddings", True))


SMOLLM3 = replace(
    decoder_family(
        "smollm3",
        "SmolLM 3: decoder-only, byte-level BPE, no positions in every fourth layer",
        _stack,
        head=_head,
    ),
    by_layer=_by_layer,
)
