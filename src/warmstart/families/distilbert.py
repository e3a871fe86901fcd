"""DistilBERT: BERT with half the layers, no token types and other names."""

from warmstart.checkpoint.rename import Rule
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

__all__ = ["DISTILBERT"]

_NORM = NormConfig(eps=1e-12)  # constant in its code


def _stack(config: Config) -> StackConfig:
    hidden_size, heads = field(config, "dim", 768), field(config, "n_heads", 12)
    return StackConfig(
        hidden_size=hidden_size,
        layers=field(config, "n_layers", 6),
        embedding=EmbeddingConfig(
            vocabulary=field(config, "vocab_size", 30522),
            size=hidden_size,
            # A sinusoidal table is stored like a learned one.
            positions=LearnedPositions(rows=field(config, "max_position_embeddings", 512)),
            norm=_NORM,
        ),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=heads,
            head_size=hidden_size // heads,
            dropout=field(config, "attention_dropout", 0.1),
        ),
        feed_forward=FeedForwardConfig(
            size=field(config, "hidden_dim", 3072),
            activation=activation(config, "activation", "gelu"),
        ),
        norm=_NORM,
        norm_order="post",
        dropout=field(config, "dropout", 0.1),
        initializer_range=field(config, "initializer_range", 0.02),
    )


def _head(config: Config) -> HeadConfig:
    return HeadConfig(
        tied=field(config, "tie_word_embeddings", True),
        bias=True,
        transform=activation(config, "activation", "gelu"),
        transform_norm=_NORM,
    )


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "transformer.layer.{i}", "blocks.{i}"
    return (
        Rule("embeddings.word_embeddings", "embedding.word"),
        Rule("embeddings.position_embeddings", "embedding.position"),
        Rule("embeddings.LayerNorm", "embedding.norm"),
        Rule(
            (
                f"{layer}.attention.q_lin",
                f"{layer}.attention.k_lin",
                f"{layer}.attention.v_lin",
            ),
            f"{block}.self_attention.qkv",
        ),
        Rule(f"{layer}.attention.out_lin", f"{block}.self_attention.output"),
        Rule(f"{layer}.sa_layer_norm", f"{block}.self_attention.norm"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.ffn.lin1", f"{block}.feed_forward.up"),
        Rule(f"{layer}.ffn.lin2", f"{block}.feed_forward.down"),
        Rule(f"{layer}.output_layer_norm", f"{block}.feed_forward.norm"),
        Rule("vocab_transform", "head.dense"),
        Rule("vocab_layer_norm", "head.norm"),
        Rule("vocab_projector.bias", "head.bias"),
        Rule("vocab_projector.weight", "head.weight"),
    )


DISTILBERT = Family(
    name="distilbert",
    description="DistilBERT: encoder-only, 6 layers, WordPiece, 512 positions",
    model_types=("distilbert",),
    pretrained_as="encoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="distilbert.",
    head_prefix="vocab_",
    ignored=("embeddings.position_ids", "vocab_projector.weight"),
    encoder_class="DistilBertModel",
    layers_key="n_layers",
)
