"""Falcon with rotary positions: 7B, 40B, 180B and Falcon 2."""

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError
from warmstart.families.cross_attention import cross_attention_rules
from warmstart.families.family import Config, Family, activation, field
from warmstart.families.rotary import rotary
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    NormConfig,
    StackConfig,
)

__all__ = ["FALCON"]


def _stack(config: Config) -> StackConfig:
    hidden_size = field(config, "hidden_size", 4544)
    heads = field(config, "num_attention_heads", 71)
    grouped = field(config, "new_decoder_architecture", False)
    parallel = field(config, "parallel_attn", True)
    if field(config, "alibi", False):
        raise CheckpointError(
            "The config's alibi is true; a Falcon can be composed only with rotary positions."
        )
    if grouped and not parallel:
        raise CheckpointError(
            "The config's new_decoder_architecture is true and its parallel_attn false; a Falcon "
            "can be composed only with the first or neither, or with both."
        )
    norms = field(config, "num_ln_in_parallel_attn", 2 if grouped else 1)
    if norms == 2 and not grouped and parallel:
        raise CheckpointError(
            "The config's num_ln_in_parallel_attn is 2 without new_decoder_architecture; such a "
            "Falcon cannot be composed."
        )
    many = grouped or not field(config, "multi_query", True)
    head_size, bias = hidden_size // heads, field(config, "bias", False)
    return StackConfig(
        hidden_size=hidden_size,
        layers=field(config, "num_hidden_layers", 32),
        embedding=EmbeddingConfig(vocabulary=field(config, "vocab_size", 65024), size=hidden_size),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=field(config, "num_kv_heads", heads) if many else 1,
            head_size=head_size,
            query_key_value_bias=bias,
            output_bias=bias,
            dropout=field(config, "attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            size=field(config, "ffn_hidden_size", 4 * hidden_size),
            activation=activation(config, "activation", "gelu"),
            bias=bias,
        ),
        norm=NormConfig(eps=field(config, "layer_norm_epsilon", 1e-5)),
        norm_order="pre",
        parallel_feed_forward=parallel,
        shared_norm=parallel and norms == 1,
        final_norm=True,
        rotary=rotary(
            config, limit=field(config, "max_position_embeddings", 2048), head_size=head_size
        ),
        causal=True,
        dropout=field(config, "hidden_dropout", 0.0),
        initializer_range=field(config, "initializer_range", 0.02),
    )


def _head(config: Config) -> HeadConfig:
    return HeadConfig(tied=field(config, "tie_word_embeddings", True))


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "h.{i}", "blocks.{i}"
    heads, groups = stack.attention.heads, stack.attention.key_value_heads
    if stack.shared_norm:
        norms = (f"{layer}.input_layernorm",) * 2
    elif stack.parallel_feed_forward:
        norms = (f"{layer}.ln_attn", f"{layer}.ln_mlp")
    else:
        norms = (f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm")
    return (
        Rule("word_embeddings", "embedding.word"),
        Rule(norms[0], f"{block}.self_attention.norm"),
        Rule(norms[1], f"{block}.feed_forward.norm"),
        Rule(
            f"{layer}.self_attention.query_key_value",
            f"{block}.self_attention.qkv",
            heads=groups,
            queries=heads // groups,
        ),
        Rule(f"{layer}.self_attention.dense", f"{block}.self_attention.output"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.mlp.dense_h_to_4h", f"{block}.feed_forward.up"),
        Rule(f"{layer}.mlp.dense_4h_to_h", f"{block}.feed_forward.down"),
        Rule("ln_f", "final_norm"),
        Rule("lm_head.weight", "head.weight"),
    )


FALCON = Family(
    name="falcon",
    description="Falcon 7B to 180B and Falcon 2: decoder-only, byte-level BPE, rotary positions",
    model_types=("falcon",),
    pretrained_as="decoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="transformer.",
    head_prefix="lm_head.",
    ignored=("lm_head.weight", "h.*.self_attention.rotary_emb.inv_freq"),
)
