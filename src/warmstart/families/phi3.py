"""Phi-3, Phi-3.5 mini and Phi-4: Llama's blocks with fused projections."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from warmstart.checkpoint.rename import Rule
from warmstart.families.family import Config, field
from warmstart.families.llama import decoder_family, llama_rules, llama_stack
from warmstart.families.rotary import rotary, windows
from warmstart.model.config import StackConfig

__all__ = ["PHI3"]

# transformers' defaults of values missing from config.json.
_DEFAULTS = {
    "vocab_size": 32064,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
    "original_max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
}


def _stack(config: Config) -> StackConfig:
    values = {**_DEFAULTS, **config, "attention_bias": False, "head_dim": None}
    head_size = field(values, "hidden_size") // field(values, "num_attention_heads")
    positions: Mapping[str, Any] = field(values, "rope_scaling", {}) or field(
        values, "rope_parameters", {}
    )
    part = positions.get("partial_rotary_factor", field(values, "partial_rotary_factor", 1.0))
    turned = rotary(
        values, limit=field(values, "max_position_embeddings"), size=int(head_size * part)
    )
    stack = llama_stack({**values, "rope_scaling": None, "rope_parameters": None})
    return replace(
        stack,
        rotary=turned,
        windows=windows(values, stack.layers, values.get("sliding_window"), lambda layer: True),
        dropout=field(values, "resid_pdrop", 0.0),
    )


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "layers.{i}", "blocks.{i}"
    return (
        Rule(f"{layer}.self_attn.qkv_proj", f"{block}.self_attention.qkv"),
        Rule(f"{layer}.mlp.gate_up_proj", f"{block}.feed_forward.up"),
        *llama_rules(stack),
    )


PHI3 = decoder_family(
    "phi3",
    "Phi-3, Phi-3.5 mini and Phi-4: decoder-only, the original context",
    _stack,
    rules=_rules,
)
