"""Ministral 3: Mistral with YaRN, within the context that it was stretched from."""

from dataclasses import replace
from typing import Any

from warmstart.families.family import Config, field
from warmstart.families.llama import decoder_family, llama_stack
from warmstart.families.rotary import windows
from warmstart.model.config import StackConfig

__all__ = ["MINISTRAL3"]

_POSITIONS = {
    "rope_type": "yarn",
    "rope_theta": 1_000_000.0,
    "factor": 16.0,
    "original_max_position_embeddings": 16384,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale_all_dim": 1.0,
    "mscale": 1.0,
    "llama_4_scaling_beta": 0.1,
}
# transformers' defaults of values missing from config.json.
_DEFAULTS: dict[str, Any] = {
    "vocab_size": 131_072,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 34,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 262_144,
    "rms_norm_eps": 1e-5,
}


def _stack(config: Config) -> StackConfig:
    values = {**_DEFAULTS, **config, "attention_bias": False}
    positions = field(values, "rope_parameters", _POSITIONS)
    stack = llama_stack({**values, "rope_parameters": positions})
    turned = stack.rotary
    assert turned is not None
    if positions.get("llama_4_scaling_beta"):
        # Queries beyond it are scaled by their position.
        original = int(positions.get("original_max_position_embeddings") or turned.limit)
        turned = replace(turned, limit=min(turned.limit, original))
    span = values.get("sliding_window")
    return replace(
        stack,
        rotary=turned,
        windows=windows({**values, "layer_types": None}, stack.layers, span, lambda layer: True),
    )


MINISTRAL3 = decoder_family(
    "ministral3", "Ministral 3, text only: decoder-only, the original context of 16,384", _stack
)
