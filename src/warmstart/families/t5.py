"""T5, with T5 v1.1, Flan-T5 and mT5."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from warmstart.checkpoint.rename import Rule
from warmstart.families.family import Config, activation, field
from warmstart.families.seq2seq_family import Seq2SeqFamily, under
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    EncoderDecoderConfig,
    FeedForwardConfig,
    HeadConfig,
    NormConfig,
    RelativeBias,
    StackConfig,
)

__all__ = ["MT5", "T5"]

_WORDS = "shared.weight"
# transformers' defaults of values missing from config.json.
_T5 = {
    "vocab_size": 32_128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 2048,
    "num_layers": 6,
    "num_heads": 8,
    "feed_forward_proj": "relu",
}
_MT5 = {
    **_T5,
    "vocab_size": 250_112,
    "d_ff": 1024,
    "num_layers": 8,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
}


def _model(values: Config, *, scaled: bool) -> EncoderDecoderConfig:
    """Two pre-norm stacks without biases, with positions only as a bias on their scores.

    Args:
        values: config.json, its defaults filled in.
        scaled: whether decoder states are divided by the root of their width before the head.
    """
    encoder, width = _stack(values), field(values, "d_model")
    return EncoderDecoderConfig(
        encoder=replace(encoder, relative_bias=_bias(values, bidirectional=True)),
        decoder=replace(
            encoder,
            layers=field(values, "num_decoder_layers", encoder.layers),
            relative_bias=_bias(values, bidirectional=False),
            causal=True,
            cross_attention="plain",
        ),
        head=HeadConfig(
            tied=field(values, "tie_word_embeddings", True),
            scale=width**-0.5 if scaled else 1.0,
        ),
        shared_words=True,
    )


def _stack(values: Config) -> StackConfig:
    width, heads = field(values, "d_model"), field(values, "num_heads")
    dropout = field(values, "dropout_rate", 0.1)
    kind, _, gated_by = str(field(values, "feed_forward_proj")).partition("-")
    named = {"feed_forward_proj": gated_by or kind}
    if (kind, gated_by) == ("gated", "gelu"):
        named = {"feed_forward_proj": "gelu_new"}  # as it was trained, despite its name
    return StackConfig(
        hidden_size=width,
        layers=field(values, "num_layers"),
        embedding=EmbeddingConfig(vocabulary=field(values, "vocab_size"), size=width),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=heads,
            head_size=field(values, "d_kv"),
            query_key_value_bias=False,
            output_bias=False,
            scale=1.0,
            dropout=dropout,
        ),
        feed_forward=FeedForwardConfig(
            size=field(values, "d_ff"),
            activation=activation(named, "feed_forward_proj", "relu"),
            gated=kind == "gated",
            bias=False,
            dropout=dropout,
        ),
        norm=NormConfig(kind="rms", eps=field(values, "layer_norm_epsilon", 1e-6)),
        norm_order="pre",
        final_norm=True,
        dropout=dropout,
        final_dropout=True,
    )


def _bias(values: Config, *, bidirectional: bool) -> RelativeBias:
    return RelativeBias(
        buckets=field(values, "relative_attention_num_buckets", 32),
        max_distance=field(values, "relative_attention_max_distance", 128),
        bidirectional=bidirectional,
    )


def _t5(config: Config) -> EncoderDecoderConfig:
    return _model({**_T5, **config}, scaled=_scaled(config))


def _scaled(config: Config) -> bool:
    # Version 1.0 has a tied head and scales. For 1.1 transformers 5 always writes that the head is
    # tied, and separately whether it scales.
    tied = config.get("tie_word_embeddings") is not False
    return bool(field(config, "scale_decoder_outputs", tied))


def _untied(config: Config) -> Config:
    scaled = _scaled(config)
    return {**config, "tie_word_embeddings": False, "scale_decoder_outputs": scaled}


def _mt5(config: Config) -> EncoderDecoderConfig:
    return _model({**_MT5, **config}, scaled=False)


def _rules(config: EncoderDecoderConfig) -> tuple[Rule, ...]:
    return (
        Rule(_WORDS, "encoder.embedding.word.weight"),
        Rule(_WORDS, "decoder.embedding.word.weight"),
        *under(
            _half_rules(gated=config.decoder.feed_forward.gated, last=1), "encoder.", "encoder."
        ),
        *under(
            _half_rules(gated=config.decoder.feed_forward.gated, last=2), "decoder.", "decoder."
        ),
        Rule("lm_head.weight", "head.weight"),
    )


def _half_rules(*, gated: bool, last: int) -> tuple[Rule, ...]:
    """Names of one half; `last` is the number of a block's feed-forward sublayer."""
    layer, block = "block.{i}.layer", "blocks.{i}"
    attention, cross = f"{layer}.0.SelfAttention", f"{layer}.1.EncDecAttention"
    feed_forward = f"{layer}.{last}.DenseReluDense"
    up = (f"{feed_forward}.wi_0", f"{feed_forward}.wi_1") if gated else f"{feed_forward}.wi"
    return (
        Rule("block.0.layer.0.SelfAttention.relative_attention_bias", "relative_bias"),
        Rule(tuple(f"{attention}.{name}" for name in "qkv"), f"{block}.self_attention.qkv"),
        Rule(f"{attention}.o", f"{block}.self_attention.output"),
        Rule(f"{layer}.0.layer_norm", f"{block}.self_attention.norm"),
        Rule(f"{cross}.q", f"{block}.cross_attention.query"),
        Rule((f"{cross}.k", f"{cross}.v"), f"{block}.cross_attention.key_value"),
        Rule(f"{cross}.o", f"{block}.cross_attention.output"),
        Rule(f"{layer}.1.layer_norm", f"{block}.cross_attention.norm"),
        Rule(up, f"{block}.feed_forward.up"),
        Rule(f"{feed_forward}.wo", f"{block}.feed_forward.down"),
        Rule(f"{layer}.{last}.layer_norm", f"{block}.feed_forward.norm"),
        Rule("final_layer_norm", "final_norm"),
    )


def _settings(config: Config) -> Mapping[str, Any]:
    pad = field(config, "pad_token_id", 0)
    return {"decoder_start_token_id": pad, "eos_token_id": 1, "pad_token_id": pad}


def _family(
    name: str, description: str, configure: Callable[[Config], EncoderDecoderConfig]
) -> Seq2SeqFamily:
    return Seq2SeqFamily(
        name=name,
        description=description,
        model_types=(name,),
        configure=configure,
        rules=_rules,
        words=_WORDS,
        copies=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
        head="lm_head.weight",
        settings=_settings,
        untied=_untied,
        # The first releases have a bias for cross-attention, which no version uses.
        ignored=("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",),
    )


T5 = _family("t5", "T5, T5 v1.1, Flan-T5: pre-trained encoder-decoder, any length", _t5)
MT5 = _family("mt5", "mT5: pre-trained encoder-decoder, multilingual, any length", _mt5)
