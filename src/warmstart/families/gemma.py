"""Gemma 1, 2 and 3 (text)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from warmstart.checkpoint.rename import Rule
from warmstart.families.family import Config, field
from warmstart.families.llama import decoder_family, llama_rules, llama_stack
from warmstart.families.rotary import rotary, windows
from warmstart.model.config import HeadConfig, StackConfig

__all__ = ["GEMMA", "GEMMA2", "GEMMA3"]

# transformers' defaults of values missing from config.json.
_GEMMA = {
    "vocab_size": 256_000,
    "hidden_size": 3072,
    "intermediate_size": 24576,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "head_dim": 256,
    "max_position_embeddings": 8192,
}
_GEMMA2 = {
    **_GEMMA,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
}
_GEMMA3 = {
    **_GEMMA2,
    "vocab_size": 262_208,
    "max_position_embeddings": 131_072,
    "final_logit_softcapping": None,
    "sliding_window_pattern": 6,
}


def _common(values: Config, activation: str) -> StackConfig:
    """Common to all three: norms by 1 + weight, and word vectors times the root of the width."""
    stack = llama_stack({**values, "hidden_act": activation})
    return replace(
        stack,
        embedding=replace(stack.embedding, scale=stack.hidden_size**0.5),
        norm=replace(stack.norm, unit_offset=True),
    )


def _gemma(config: Config) -> StackConfig:
    values = {**_GEMMA, **config}
    name = field(values, "hidden_act", "gelu_pytorch_tanh")
    # The first releases say "gelu" and were trained with its approximation.
    return _common(values, "gelu_pytorch_tanh" if name == "gelu" else name)


def _sandwiched(values: Config) -> StackConfig:
    """Common to Gemma 2 and 3: norms after the sublayers too, and a scale of the scores."""
    stack = _common(values, field(values, "hidden_activation", "gelu_pytorch_tanh"))
    scale = field(values, "query_pre_attn_scalar") ** -0.5
    return replace(stack, norm_order="sandwich", attention=replace(stack.attention, scale=scale))


def _gemma2(config: Config) -> StackConfig:
    values: dict[str, Any] = {**_GEMMA2, **config}
    stack = _sandwiched(values)
    soft_cap = values["attn_logit_softcapping"]  # may be null
    span = values["sliding_window"]
    return replace(
        stack,
        attention=replace(stack.attention, soft_cap=soft_cap),
        # As an encoder a token sees equally far in both directions. T5Gemma's encoder, made from
        # Gemma 2, sees one token more on both sides.
        windows=windows(values, stack.layers, span, lambda layer: layer % 2 == 0),
    )


def _gemma3(config: Config) -> StackConfig:
    values: dict[str, Any] = {**_GEMMA3, **config}
    stack = _sandwiched(values)
    bidirectional = bool(field(values, "use_bidirectional_attention", False))  # EmbeddingGemma
    span = values["sliding_window"]
    if bidirectional and span is not None:
        span = span // 2 + 1  # there it is the width of both sides
    pattern = field(values, "sliding_window_pattern")
    return replace(
        stack,
        attention=replace(stack.attention, query_key_norm=stack.norm),
        rotary=rotary(
            values,
            limit=field(values, "max_position_embeddings"),
            head_size=stack.attention.head_size,
            default_theta=1_000_000.0,
            local_theta_key="rope_local_base_freq",
        ),
        windows=windows(values, stack.layers, span, lambda layer: bool((layer + 1) % pattern)),
        causal=not bidirectional,
    )


def _head(defaults: Mapping[str, Any]) -> Callable[[Config], HeadConfig]:
    def head(config: Config) -> HeadConfig:
        values = {**defaults, **config}
        return HeadConfig(
            tied=field(values, "tie_word_embeddings", True),
            soft_cap=values.get("final_logit_softcapping"),
        )

    return head


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    if stack.norm_order == "pre":
        return llama_rules(stack)
    layer, block = "layers.{i}", "blocks.{i}"
    return (
        # Before Llama's, where "post_attention" is the norm before the feed-forward.
        Rule(f"{layer}.post_attention_layernorm", f"{block}.self_attention.output_norm"),
        Rule(f"{layer}.pre_feedforward_layernorm", f"{block}.feed_forward.norm"),
        Rule(f"{layer}.post_feedforward_layernorm", f"{block}.feed_forward.output_norm"),
        *llama_rules(stack),
    )


GEMMA = decoder_family(
    "gemma", "Gemma 1: decoder-only, SentencePiece", _gemma, head=_head({}), rules=_rules
)
GEMMA2 = decoder_family(
    "gemma2",
    "Gemma 2: decoder-only, SentencePiece, every other layer with a window, capped logits",
    _gemma2,
    head=_head(_GEMMA2),
    rules=_rules,
)
GEMMA3 = decoder_family(
    "gemma3_text",
    "Gemma 3, text only: decoder-only, SentencePiece, five layers of six with a window",
    _gemma3,
    head=_head(_GEMMA3),
    rules=_rules,
)
