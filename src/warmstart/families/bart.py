"""BART, and the parts that Marian shares with it."""

from collections.abc import Mapping
from typing import Any, Literal

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError
from warmstart.families.family import Config, activation, field
from warmstart.families.seq2seq_family import Seq2SeqFamily, under
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    EncoderDecoderConfig,
    FeedForwardConfig,
    HeadConfig,
    LearnedPositions,
    NormConfig,
    SinusoidalPositions,
    StackConfig,
)

__all__ = ["BART", "COPIES", "WORDS", "bart_model", "bart_rules"]

WORDS = "model.shared.weight"
COPIES = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
_OFFSET = 2  # row of the first token in the position tables, whatever the pad token's id is
_NORM = NormConfig(eps=1e-5)


def bart_model(
    config: Config,
    *,
    vocabulary: int,
    positions: LearnedPositions | SinusoidalPositions,
    embedding_norm: NormConfig | None,
) -> EncoderDecoderConfig:
    """Two post-norm stacks with one word embedding, which is the head's weight too.

    Args:
        config: config.json.
        vocabulary: rows of the word embedding, unless the config has them.
        positions: of either half.
        embedding_norm: over the sum of word and position vectors.

    Raises:
        CheckpointError: if a part has its own embedding by the config.
    """
    if not field(config, "tie_word_embeddings", True):
        raise CheckpointError(
            f"The head of this {config.get('model_type')} checkpoint is not its word embedding "
            "(tie_word_embeddings is false, or the files hold another tensor); only tied heads "
            "can be loaded."
        )
    embedding = EmbeddingConfig(
        vocabulary=field(config, "vocab_size", vocabulary),
        size=field(config, "d_model", 1024),
        positions=positions,
        norm=embedding_norm,
        scale=field(config, "d_model", 1024) ** 0.5
        if field(config, "scale_embedding", False)
        else 1.0,
    )
    return EncoderDecoderConfig(
        encoder=_stack(config, "encoder", embedding),
        decoder=_stack(config, "decoder", embedding),
        head=HeadConfig(tied=True, bias=True, bias_trained=False),
        shared_words=True,
    )


def _stack(
    config: Config, half: Literal["encoder", "decoder"], embedding: EmbeddingConfig
) -> StackConfig:
    heads = field(config, f"{half}_attention_heads", 16)
    return StackConfig(
        hidden_size=embedding.size,
        layers=field(config, f"{half}_layers", 12),
        embedding=embedding,
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=heads,
            head_size=embedding.size // heads,
            dropout=field(config, "attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            size=field(config, f"{half}_ffn_dim", 4096),
            activation=activation(config, "activation_function", "gelu"),
            dropout=field(config, "activation_dropout", 0.0),
        ),
        norm=_NORM,
        norm_order="post",
        causal=half == "decoder",
        cross_attention="plain" if half == "decoder" else None,
        dropout=field(config, "dropout", 0.1),
        initializer_range=field(config, "init_std", 0.02),
    )


def bart_rules(config: EncoderDecoderConfig) -> tuple[Rule, ...]:
    """Names of the full model."""
    return (
        Rule(WORDS, "encoder.embedding.word.weight"),
        Rule(WORDS, "decoder.embedding.word.weight"),
        *(
            rule
            for half in ("encoder", "decoder")
            for rule in under(_half_rules(), f"{half}.", f"model.{half}.")
        ),
        Rule("lm_head.weight", "head.weight"),
        Rule("final_logits_bias", "head.bias", leading_axis=True),
    )


def _half_rules() -> tuple[Rule, ...]:
    layer, block = "layers.{i}", "blocks.{i}"
    return (
        Rule("embed_positions", "embedding.position"),
        Rule("layernorm_embedding", "embedding.norm"),
        Rule(
            tuple(f"{layer}.self_attn.{name}_proj" for name in "qkv"),
            f"{block}.self_attention.qkv",
        ),
        Rule(f"{layer}.self_attn.out_proj", f"{block}.self_attention.output"),
        Rule(f"{layer}.self_attn_layer_norm", f"{block}.self_attention.norm"),
        Rule(f"{layer}.encoder_attn.q_proj", f"{block}.cross_attention.query"),
        Rule(
            tuple(f"{layer}.encoder_attn.{name}_proj" for name in "kv"),
            f"{block}.cross_attention.key_value",
        ),
        Rule(f"{layer}.encoder_attn.out_proj", f"{block}.cross_attention.output"),
        Rule(f"{layer}.encoder_attn_layer_norm", f"{block}.cross_attention.norm"),
        Rule(f"{layer}.fc1", f"{block}.feed_forward.up"),
        Rule(f"{layer}.fc2", f"{block}.feed_forward.down"),
        Rule(f"{layer}.final_layer_norm", f"{block}.feed_forward.norm"),
    )


def _configure(config: Config) -> EncoderDecoderConfig:
    rows = field(config, "max_position_embeddings", 1024) + _OFFSET
    return bart_model(
        config,
        vocabulary=50_265,
        positions=LearnedPositions(rows=rows, offset=_OFFSET),
        embedding_norm=_NORM,
    )


def _settings(config: Config) -> Mapping[str, Any]:
    return {
        "decoder_start_token_id": 2,
        "eos_token_id": 2,
        "pad_token_id": 1,
        "forced_eos_token_id": 2,
    }


def _target_start(config: Config) -> tuple[int, ...]:
    return (field(config, "bos_token_id", 0),)


BART = Seq2SeqFamily(
    name="bart",
    description="BART: pre-trained encoder-decoder, byte-level BPE, 1024 positions",
    model_types=("bart",),
    configure=_configure,
    rules=bart_rules,
    words=WORDS,
    copies=COPIES,
    head="lm_head.weight",
    prefix="model.",
    settings=_settings,
    target_start=_target_start,
    optional=("head.bias",),
    ignored=("model.*.version",),
)
