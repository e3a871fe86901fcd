"""OLMo 2 and 3: norms after the sublayers, and over all queries or keys together."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from warmstart.checkpoint.rename import Rule
from warmstart.families.family import Config, field
from warmstart.families.llama import decoder_family, llama_rules, llama_stack
from warmstart.families.rotary import rotary, windows
from warmstart.model.config import StackConfig

__all__ = ["OLMO2", "OLMO3"]

# transformers' defaults of values missing from config.json.
_OLMO2 = {
    "vocab_size": 50304,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
}
_THETA = 500_000.0  # OLMo 3's


def _olmo2(config: Config) -> StackConfig:
    stack = llama_stack({**_OLMO2, **config})
    attention = replace(stack.attention, query_key_norm=stack.norm, joint_query_key_norm=True)
    return replace(stack, norm_order="output", attention=attention)


def _olmo3(config: Config) -> StackConfig:
    stack = _olmo2({**config, "rope_scaling": None, "rope_parameters": None})
    values: dict[str, Any] = {**_OLMO2, "sliding_window": 4096, **config}
    return replace(
        stack,
        rotary=rotary(
            {**values, "rope_scaling": None, "rope_parameters": _positions(values)},
            limit=field(values, "max_position_embeddings"),
            head_size=stack.attention.head_size,
        ),
        windows=windows(
            values, stack.layers, values["sliding_window"], lambda layer: bool((layer + 1) % 4)
        ),
    )


def _positions(values: Config) -> dict[str, Mapping[str, Any]]:
    """By kind of layer: only global ones are scaled."""
    given = field(values, "rope_parameters", {})
    base = {"rope_theta": field(values, "rope_theta", _THETA)}
    full = {**field(given, "full_attention", {}), **field(values, "rope_scaling", {})}
    return {
        "full_attention": {**base, **full},
        "sliding_attention": {**base, **field(given, "sliding_attention", {})},
    }


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "layers.{i}", "blocks.{i}"
    return (
        # Before Llama's, where "post_attention" is the norm before the feed-forward.
        Rule(f"{layer}.post_attention_layernorm", f"{block}.self_attention.norm"),
        Rule(f"{layer}.post_feedforward_layernorm", f"{block}.feed_forward.norm"),
        *llama_rules(stack),
    )


OLMO2 = decoder_family("olmo2", "OLMo 2: decoder-only, byte-level BPE", _olmo2, rules=_rules)
OLMO3 = decoder_family(
    "olmo3",
    "OLMo 3: decoder-only, byte-level BPE, three layers of four with a window",
    _olmo3,
    rules=_rules,
)
