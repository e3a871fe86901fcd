"""Granite: Llama's blocks with a factor on each part."""

from dataclasses import replace

from warmstart.families.family import Config, field
from warmstart.families.llama import decoder_family, llama_head, llama_stack
from warmstart.model.config import HeadConfig, StackConfig

__all__ = ["GRANITE"]

# transformers' defaults of values missing from config.json.
_DEFAULTS = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
}


def _stack(config: Config) -> StackConfig:
    stack = llama_stack({**_DEFAULTS, **config, "head_dim": None})
    scale = float(field(config, "attention_multiplier", 1.0))
    return replace(
        stack,
        embedding=replace(stack.embedding, scale=float(field(config, "embedding_multiplier", 1.0))),
        attention=replace(stack.attention, scale=scale),
        feed_forward=replace(stack.feed_forward, bias=field(config, "mlp_bias", False)),
        residual_scale=float(field(config, "residual_multiplier", 1.0)),
    )


def _head(config: Config) -> HeadConfig:
    scale = 1 / float(field(config, "logits_scaling", 1.0))
    return replace(llama_head(config), scale=scale)


GRANITE = decoder_family(
    "granite", "Granite 3: decoder-only, byte-level BPE, scaled residuals", _stack, head=_head
)
