"""OPT."""

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError
from warmstart.families.cross_attention import cross_attention_rules
from warmstart.families.family import Config, Family, activation, field
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    LearnedPositions,
    NormConfig,
    StackConfig,
)

__all__ = ["OPT"]

_OFFSET = 2  # row of the first token in the position table, whatever the pad token's id is


def _stack(config: Config) -> StackConfig:
    hidden_size, heads = field(config, "hidden_size", 768), field(config, "num_attention_heads", 12)
    if not field(config, "layer_norm_elementwise_affine", True):
        raise CheckpointError(
            "The config's layer_norm_elementwise_affine is false; an OPT whose norms have no "
            "weights cannot be composed."
        )
    bias = field(config, "enable_bias", True)
    pre_norm = field(config, "do_layer_norm_before", True)
    return StackConfig(
        hidden_size=hidden_size,
        layers=field(config, "num_hidden_layers", 12),
        embedding=EmbeddingConfig(
            vocabulary=field(config, "vocab_size", 50272),
            size=field(config, "word_embed_proj_dim", hidden_size),
            positions=LearnedPositions(
                rows=field(config, "max_position_embeddings", 2048) + _OFFSET,
                offset=_OFFSET,
                projected=False,
            ),
            projection_bias=False,
        ),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=heads,
            head_size=hidden_size // heads,
            query_key_value_bias=bias,
            output_bias=bias,
            dropout=field(config, "attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            size=field(config, "ffn_dim", 3072),
            activation=activation(config, "activation_function", "relu"),
            bias=bias,
        ),
        norm=NormConfig(eps=1e-5),
        norm_order="pre" if pre_norm else "post",
        final_norm=pre_norm and not field(config, "_remove_final_layer_norm", False),
        causal=True,
        dropout=field(config, "dropout", 0.1),
        initializer_range=field(config, "init_std", 0.02),
    )


def _head(config: Config) -> HeadConfig:
    hidden_size = field(config, "hidden_size", 768)
    return HeadConfig(
        tied=field(config, "tie_word_embeddings", True),
        projection=field(config, "word_embed_proj_dim", hidden_size) != hidden_size,
    )


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "decoder.layers.{i}", "blocks.{i}"
    return (
        Rule("decoder.embed_tokens", "embedding.word"),
        Rule("decoder.embed_positions", "embedding.position"),
        Rule("decoder.project_in", "embedding.projection"),
        Rule(
            tuple(f"{layer}.self_attn.{name}_proj" for name in "qkv"),
            f"{block}.self_attention.qkv",
        ),
        Rule(f"{layer}.self_attn.out_proj", f"{block}.self_attention.output"),
        Rule(f"{layer}.self_attn_layer_norm", f"{block}.self_attention.norm"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.fc1", f"{block}.feed_forward.up"),
        Rule(f"{layer}.fc2", f"{block}.feed_forward.down"),
        Rule(f"{layer}.final_layer_norm", f"{block}.feed_forward.norm"),
        Rule("decoder.final_layer_norm", "final_norm"),
        Rule("decoder.project_out", "head.dense"),
        Rule("lm_head.weight", "head.weight"),
    )


OPT = Family(
    name="opt",
    description="OPT: decoder-only, byte-level BPE, 2048 positions",
    model_types=("opt",),
    pretrained_as="decoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="model.",
    head_prefix="lm_head.",
    unused=("decoder.project_out.weight",),  # not used by an encoder
    ignored=("lm_head.weight",),
)
