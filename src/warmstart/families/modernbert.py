"""ModernBERT: rotary positions, gated feed-forwards, and windows in two layers of three."""

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError
from warmstart.families.cross_attention import cross_attention_rules
from warmstart.families.family import Config, Family, activation, field
from warmstart.families.rotary import rotary, windows
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    NormConfig,
    Rotary,
    StackConfig,
)

__all__ = ["MODERNBERT"]


def _norm(config: Config) -> NormConfig:
    return NormConfig(eps=field(config, "norm_eps", 1e-5), bias=field(config, "norm_bias", False))


def _stack(config: Config) -> StackConfig:
    hidden_size = field(config, "hidden_size", 768)
    layers = field(config, "num_hidden_layers", 22)
    heads = field(config, "num_attention_heads", 12)
    bias = field(config, "attention_bias", False)
    every = field(config, "global_attn_every_n_layers", 3)
    return StackConfig(
        hidden_size=hidden_size,
        layers=layers,
        embedding=EmbeddingConfig(
            vocabulary=field(config, "vocab_size", 50368), size=hidden_size, norm=_norm(config)
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
            size=field(config, "intermediate_size", 1152),
            activation=activation(config, "hidden_activation", "gelu"),
            gated=True,
            bias=field(config, "mlp_bias", False),
            dropout=field(config, "mlp_dropout", 0.0),
        ),
        norm=_norm(config),
        norm_order="pre",
        first_attention_norm=False,  # the embedding's norm is right before it
        final_norm=True,
        rotary=_rotary(config),
        windows=windows(
            config,
            layers,
            # local_attention counts both sides; ours is the first distance out of reach.
            field(config, "local_attention", 128) // 2 + 1,
            sliding=lambda layer: layer % every != 0,
        ),
        dropout=field(config, "embedding_dropout", 0.0),
        initializer_range=field(config, "initializer_range", 0.02),
    )


def _rotary(config: Config) -> Rotary:
    if "local_rope_theta" in config and config["local_rope_theta"] is None:
        # Null stands for one base for all layers.
        config = {**config, "local_rope_theta": field(config, "global_rope_theta", 160_000.0)}
    positions = rotary(
        config,
        limit=field(config, "max_position_embeddings", 8192),
        theta_key="global_rope_theta",
        default_theta=160_000.0,
        local_theta_key="local_rope_theta",
        default_local_theta=10_000.0,
    )
    if positions.scaling is not None:
        raise CheckpointError(
            "The config scales a ModernBERT's rotary positions (rope_scaling or rope_parameters); "
            "only 'default' can be composed."
        )
    return positions


def _head(config: Config) -> HeadConfig:
    return HeadConfig(
        tied=field(config, "tie_word_embeddings", True),
        bias=field(config, "decoder_bias", True),
        transform=activation(config, "classifier_activation", "gelu"),
        transform_norm=_norm(config),
        transform_bias=field(config, "classifier_bias", False),
    )


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "layers.{i}", "blocks.{i}"
    return (
        Rule("embeddings.tok_embeddings", "embedding.word"),
        Rule("embeddings.norm", "embedding.norm"),
        Rule(f"{layer}.attn_norm", f"{block}.self_attention.norm"),
        Rule(f"{layer}.attn.Wqkv", f"{block}.self_attention.qkv"),
        Rule(f"{layer}.attn.Wo", f"{block}.self_attention.output"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.mlp_norm", f"{block}.feed_forward.norm"),
        Rule(f"{layer}.mlp.Wi", f"{block}.feed_forward.up"),
        Rule(f"{layer}.mlp.Wo", f"{block}.feed_forward.down"),
        Rule("final_norm", "final_norm"),
        Rule("head.dense", "head.dense"),
        Rule("head.norm", "head.norm"),
        Rule("decoder.bias", "head.bias"),
        Rule("decoder.weight", "head.weight"),
    )


MODERNBERT = Family(
    name="modernbert",
    description="ModernBERT: encoder-only, rotary positions, local and global layers, 8192 tokens",
    model_types=("modernbert",),
    pretrained_as="encoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="model.",
    head_prefix=("head.", "decoder."),
    ignored=("decoder.weight",),
    encoder_class="ModernBertModel",
)
