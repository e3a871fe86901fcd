"""Llama, and the same architecture with other values: Mistral and Qwen."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from warmstart.checkpoint.rename import Rule
from warmstart.families.cross_attention import cross_attention_rules
from warmstart.families.family import Config, Family, activation, field
from warmstart.families.rotary import rotary, windows
from warmstart.families.text_part import NAMES, OTHER_PARTS
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    NormConfig,
    StackConfig,
)

__all__ = [
    "LLAMA",
    "MISTRAL",
    "QWEN2",
    "QWEN3",
    "decoder_family",
    "llama_head",
    "llama_rules",
    "llama_stack",
]

# transformers' defaults of values missing from config.json.
_LLAMA = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
}
_MISTRAL = {
    **_LLAMA,
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131_072,
    "sliding_window": 4096,
}
_QWEN2 = {
    **_LLAMA,
    "vocab_size": 151_936,
    "intermediate_size": 22016,
    "num_key_value_heads": 32,
    "max_position_embeddings": 32768,
    "sliding_window": 4096,
    "max_window_layers": 28,
}
_QWEN3 = {**_QWEN2, "head_dim": 128}


def llama_stack(config: Config) -> StackConfig:
    """The pre-norm stack of Llama and its relatives: rotary, RMSNorm, gated feed-forward.

    Args:
        config: config.json with the sizes filled in.
    """
    hidden_size, heads = field(config, "hidden_size"), field(config, "num_attention_heads")
    bias = field(config, "attention_bias", False)
    head_size = field(config, "head_dim", hidden_size // heads)
    return StackConfig(
        hidden_size=hidden_size,
        layers=field(config, "num_hidden_layers"),
        embedding=EmbeddingConfig(vocabulary=field(config, "vocab_size"), size=hidden_size),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=field(config, "num_key_value_heads", heads),
            head_size=head_size,
            query_key_value_bias=bias,
            output_bias=bias,
            dropout=field(config, "attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            size=field(config, "intermediate_size"),
            activation=activation(config, "hidden_act", "silu"),
            gated=True,
            bias=False,
        ),
        norm=NormConfig(kind="rms", eps=field(config, "rms_norm_eps", 1e-6)),
        norm_order="pre",
        final_norm=True,
        rotary=rotary(config, limit=field(config, "max_position_embeddings"), head_size=head_size),
        causal=True,
        initializer_range=field(config, "initializer_range", 0.02),
    )


def llama_rules(stack: StackConfig) -> tuple[Rule, ...]:
    """Llama's names, which nearly all current decoders have."""
    layer, block = "layers.{i}", "blocks.{i}"
    attention = stack.attention
    queries, keys = (
        heads * attention.head_size for heads in (attention.heads, attention.key_value_heads)
    )
    return (
        Rule("embed_tokens", "embedding.word"),
        Rule(
            tuple(f"{layer}.self_attn.{name}_proj" for name in "qkv"),
            f"{block}.self_attention.qkv",
            rows=(queries, keys, keys),
        ),
        Rule(f"{layer}.self_attn.o_proj", f"{block}.self_attention.output"),
        Rule(f"{layer}.self_attn.q_norm", f"{block}.self_attention.query_norm"),
        Rule(f"{layer}.self_attn.k_norm", f"{block}.self_attention.key_norm"),
        Rule(f"{layer}.input_layernorm", f"{block}.self_attention.norm"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.post_attention_layernorm", f"{block}.feed_forward.norm"),
        Rule((f"{layer}.mlp.gate_proj", f"{layer}.mlp.up_proj"), f"{block}.feed_forward.up"),
        Rule(f"{layer}.mlp.down_proj", f"{block}.feed_forward.down"),
        Rule("norm", "final_norm"),
        Rule("lm_head.weight", "head.weight"),
    )


def _llama(config: Config) -> StackConfig:
    stack = llama_stack({**_LLAMA, **config})
    bias = field(config, "mlp_bias", False)
    return replace(stack, feed_forward=replace(stack.feed_forward, bias=bias))


def _mistral(config: Config) -> StackConfig:
    values: dict[str, Any] = {**_MISTRAL, **config, "attention_bias": False}
    stack = llama_stack(values)
    span = values["sliding_window"]  # null in later versions: no window
    return replace(stack, windows=windows(values, stack.layers, span, lambda layer: True))


def _qwen(config: Config, defaults: Mapping[str, Any]) -> StackConfig:
    values = {**defaults, **config}
    stack = llama_stack(values)
    span = values["sliding_window"] if field(values, "use_sliding_window", False) else None
    first = field(values, "max_window_layers")
    return replace(
        stack, windows=windows(values, stack.layers, span, lambda layer: bool(layer >= first))
    )


def _qwen2(config: Config) -> StackConfig:
    stack = _qwen(config, _QWEN2)
    biased = replace(stack.attention, query_key_value_bias=True, output_bias=False)
    return replace(stack, attention=biased)


def _qwen3(config: Config) -> StackConfig:
    stack = _qwen(config, _QWEN3)
    return replace(stack, attention=replace(stack.attention, query_key_norm=stack.norm))


def llama_head(config: Config) -> HeadConfig:
    """Llama's head: a weight of its own unless the config ties it."""
    return HeadConfig(tied=field(config, "tie_word_embeddings", False))


def decoder_family(
    name: str,
    description: str,
    stack: Callable[[Config], StackConfig],
    *,
    head: Callable[[Config], HeadConfig] = llama_head,
    rules: Callable[[StackConfig], tuple[Rule, ...]] = llama_rules,
) -> Family:
    """A decoder-only family with Llama's prefixes, alone or as part of a multimodal checkpoint.

    Args:
        name: its model_type, and our name of it.
        description: see `Family`, as the other arguments.
        stack: see `Family`.
        head: see `Family`.
        rules: see `Family`.
    """
    return Family(
        name=name,
        description=description,
        model_types=(name,),
        pretrained_as="decoder",
        stack=stack,
        head=head,
        rules=rules,
        prefix="model.",
        head_prefix="lm_head.",
        unused=OTHER_PARTS,
        aliases=NAMES,
        ignored=("lm_head.weight", "layers.*.self_attn.rotary_emb.inv_freq"),
    )


LLAMA = decoder_family(
    "llama", "Llama 1 to 3, SmolLM and others saved as Llama: decoder-only", _llama
)
MISTRAL = decoder_family(
    "mistral", "Mistral: decoder-only, with a window in its first version", _mistral
)
QWEN2 = decoder_family("qwen2", "Qwen 2 and 2.5: decoder-only, byte-level BPE", _qwen2)
QWEN3 = decoder_family(
    "qwen3", "Qwen 3: decoder-only, byte-level BPE, normed queries and keys", _qwen3
)
