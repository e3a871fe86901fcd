"""BERT, and the parts that its relatives share with it."""

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError
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

__all__ = ["BERT", "bert_head", "bert_stack", "block_rules"]


def bert_stack(config: Config, *, position_offset: int = 0, token_types: int = 2) -> StackConfig:
    """The post-norm stack of BERT and its relatives.

    Args:
        config: config.json.
        position_offset: row of the first token in the position table.
        token_types: rows of the type table, unless the config has them.
    """
    kind = field(config, "position_embedding_type", "absolute")
    if kind != "absolute":
        raise CheckpointError(
            f"The config's position_embedding_type is '{kind}'; only 'absolute' can be composed."
        )
    hidden_size, heads = field(config, "hidden_size"), field(config, "num_attention_heads")
    norm = NormConfig(eps=field(config, "layer_norm_eps", 1e-12))
    return StackConfig(
        hidden_size=hidden_size,
        layers=field(config, "num_hidden_layers"),
        embedding=EmbeddingConfig(
            vocabulary=field(config, "vocab_size"),
            size=hidden_size,
            positions=LearnedPositions(
                rows=field(config, "max_position_embeddings"), offset=position_offset
            ),
            token_types=field(config, "type_vocab_size", token_types) if token_types else 0,
            norm=norm,
        ),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=heads,
            head_size=hidden_size // heads,
            dropout=field(config, "attention_probs_dropout_prob", 0.1),
        ),
        feed_forward=FeedForwardConfig(
            size=field(config, "intermediate_size"),
            activation=activation(config, "hidden_act", "gelu"),
        ),
        norm=norm,
        norm_order="post",
        dropout=field(config, "hidden_dropout_prob", 0.1),
        initializer_range=field(config, "initializer_range", 0.02),
    )


def bert_head(config: Config) -> HeadConfig:
    """Dense, activation, norm, then the word embedding with a bias."""
    return HeadConfig(
        tied=field(config, "tie_word_embeddings", True),
        bias=True,
        transform=activation(config, "hidden_act", "gelu"),
        transform_norm=NormConfig(eps=field(config, "layer_norm_eps", 1e-12)),
    )


def block_rules() -> tuple[Rule, ...]:
    """Names of embeddings and blocks in BERT and its relatives."""
    layer = "encoder.layer.{i}"
    self_attention = f"{layer}.attention.self"
    cross_attention = f"{layer}.crossattention.self"
    return (
        Rule("embeddings.word_embeddings", "embedding.word"),
        Rule("embeddings.position_embeddings", "embedding.position"),
        Rule("embeddings.token_type_embeddings", "embedding.token_type"),
        Rule("embeddings.LayerNorm", "embedding.norm"),
        Rule(
            (f"{self_attention}.query", f"{self_attention}.key", f"{self_attention}.value"),
            "blocks.{i}.self_attention.qkv",
        ),
        Rule(f"{layer}.attention.output.dense", "blocks.{i}.self_attention.output"),
        Rule(f"{layer}.attention.output.LayerNorm", "blocks.{i}.self_attention.norm"),
        Rule(f"{cross_attention}.query", "blocks.{i}.cross_attention.query"),
        Rule(
            (f"{cross_attention}.key", f"{cross_attention}.value"),
            "blocks.{i}.cross_attention.key_value",
        ),
        Rule(f"{layer}.crossattention.output.dense", "blocks.{i}.cross_attention.output"),
        Rule(f"{layer}.crossattention.output.LayerNorm", "blocks.{i}.cross_attention.norm"),
        Rule(f"{layer}.intermediate.dense", "blocks.{i}.feed_forward.up"),
        Rule(f"{layer}.output.dense", "blocks.{i}.feed_forward.down"),
        Rule(f"{layer}.output.LayerNorm", "blocks.{i}.feed_forward.norm"),
        Rule("pooler.dense", "pooler"),
    )


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    return (
        *block_rules(),
        Rule("cls.predictions.transform.dense", "head.dense"),
        Rule("cls.predictions.transform.LayerNorm", "head.norm"),
        Rule("cls.predictions.bias", "head.bias"),
        Rule("cls.predictions.decoder.weight", "head.weight"),
    )


BERT = Family(
    name="bert",
    description="BERT and everything saved as it: encoder-only, WordPiece, 512 positions",
    model_types=("bert",),
    pretrained_as="encoder",
    stack=bert_stack,
    head=bert_head,
    rules=_rules,
    prefix="bert.",
    head_prefix="cls.",
    unused=("pooler.*", "cls.seq_relationship.*"),
    ignored=("embeddings.position_ids", "embeddings.token_type_ids", "cls.predictions.decoder.*"),
    encoder_class="BertModel",
    decoder_class="BertLMHeadModel",
)
