"""BLOOM: a penalty by distance in place of positions (ALiBi)."""

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError
from warmstart.families.cross_attention import cross_attention_rules
from warmstart.families.family import Config, Family, field
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    LinearBias,
    NormConfig,
    StackConfig,
)

__all__ = ["BLOOM"]


def _stack(config: Config) -> StackConfig:
    if field(config, "apply_residual_connection_post_layernorm", False):
        raise CheckpointError(
            "The config's apply_residual_connection_post_layernorm is true; a BLOOM can be "
            "composed only with residuals from before the norms."
        )
    hidden_size = field(config, "hidden_size", field(config, "n_embed", 64))
    heads = field(config, "n_head", field(config, "num_attention_heads", 8))
    norm = NormConfig(eps=field(config, "layer_norm_epsilon", 1e-5))
    return StackConfig(
        hidden_size=hidden_size,
        layers=field(config, "n_layer", field(config, "num_hidden_layers", 2)),
        embedding=EmbeddingConfig(
            vocabulary=field(config, "vocab_size", 250_880), size=hidden_size, norm=norm
        ),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=heads,
            head_size=hidden_size // heads,
            dropout=field(config, "attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(size=4 * hidden_size, activation="gelu_tanh"),
        norm=norm,
        norm_order="pre",
        final_norm=True,
        relative_bias=LinearBias(),
        causal=True,
        dropout=field(config, "hidden_dropout", 0.0),
        initializer_range=field(config, "initializer_range", 0.02),
    )


def _head(config: Config) -> HeadConfig:
    return HeadConfig(tied=field(config, "tie_word_embeddings", True))


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "h.{i}", "blocks.{i}"
    return (
        Rule("word_embeddings", "embedding.word"),
        Rule("word_embeddings_layernorm", "embedding.norm"),
        Rule(f"{layer}.input_layernorm", f"{block}.self_attention.norm"),
        Rule(
            f"{layer}.self_attention.query_key_value",
            f"{block}.self_attention.qkv",
            heads=stack.attention.heads,
        ),
        Rule(f"{layer}.self_attention.dense", f"{block}.self_attention.output"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.post_attention_layernorm", f"{block}.feed_forward.norm"),
        Rule(f"{layer}.mlp.dense_h_to_4h", f"{block}.feed_forward.up"),
        Rule(f"{layer}.mlp.dense_4h_to_h", f"{block}.feed_forward.down"),
        Rule("ln_f", "final_norm"),
        Rule("lm_head.weight", "head.weight"),
    )


BLOOM = Family(
    name="bloom",
    description="BLOOM and BLOOMZ: decoder-only, 46 languages, byte-level BPE, any length",
    model_types=("bloom",),
    pretrained_as="decoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="transformer.",
    head_prefix="lm_head.",
    ignored=("lm_head.weight",),
    layers_key="n_layer",
)
