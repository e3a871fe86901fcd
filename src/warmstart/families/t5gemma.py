"""T5Gemma: Gemma 2 made into an encoder-decoder."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError
from warmstart.families.family import Config, field
from warmstart.families.gemma import GEMMA2
from warmstart.families.seq2seq_family import Seq2SeqFamily, under
from warmstart.model.config import EncoderDecoderConfig, HeadConfig, StackConfig

__all__ = ["T5GEMMA"]


def _configure(config: Config) -> EncoderDecoderConfig:
    encoder, decoder = _stack(config, "encoder"), _stack(config, "decoder")
    half = field(config, "decoder")
    cap = half.get("final_logit_softcapping", 30.0)
    return EncoderDecoderConfig(
        encoder=replace(
            encoder,
            # In its encoder the window's width is inclusive, on both sides.
            windows=None
            if encoder.windows is None
            else tuple(None if window is None else window + 1 for window in encoder.windows),
            causal=False,
        ),
        decoder=replace(
            decoder,
            causal=True,
            cross_attention="plain",
            source_size=None if encoder.hidden_size == decoder.hidden_size else encoder.hidden_size,
        ),
        head=HeadConfig(tied=field(config, "tie_word_embeddings", True), soft_cap=cap),
    )


def _stack(config: Config, half: str) -> StackConfig:
    """Gemma 2's, with the dropout rates of the full model."""
    values = config.get(half)
    if not isinstance(values, Mapping):
        raise CheckpointError(
            f"The config of this t5gemma checkpoint has no '{half}'; restore the config.json that "
            "it was saved with."
        )
    stack = GEMMA2.stack(values)
    dropout = field(config, "dropout_rate", 0.0)
    return replace(
        stack,
        attention=replace(stack.attention, dropout=field(config, "attention_dropout", 0.0)),
        feed_forward=replace(stack.feed_forward, dropout=dropout),
        dropout=dropout,
        final_dropout=True,
    )


def _rules(config: EncoderDecoderConfig) -> tuple[Rule, ...]:
    assert config.encoder is not None
    return (
        *under(_half_rules(config.encoder), "encoder.", "model.encoder."),
        *under(_half_rules(config.decoder), "decoder.", "model.decoder."),
        Rule("lm_head.out_proj.weight", "head.weight"),
    )


def _half_rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, attention = "layers.{i}", "blocks.{i}.self_attention"
    return (
        Rule(f"{layer}.pre_self_attn_layernorm", f"{attention}.norm"),
        Rule(f"{layer}.post_self_attn_layernorm", f"{attention}.output_norm"),
        *(rule for rule in GEMMA2.rules(stack) if not rule.ours.startswith("head")),
    )


def _settings(config: Config) -> Mapping[str, Any]:
    decoder = field(config, "decoder")
    return {
        "decoder_start_token_id": field(decoder, "bos_token_id", 2),
        "eos_token_id": field(decoder, "eos_token_id", 1),
        "pad_token_id": field(decoder, "pad_token_id", 0),
    }


T5GEMMA = Seq2SeqFamily(
    name="t5gemma",
    description="T5Gemma: pre-trained encoder-decoder, made from Gemma 2, SentencePiece",
    model_types=("t5gemma",),
    configure=_configure,
    rules=_rules,
    words="model.decoder.embed_tokens.weight",
    head="lm_head.out_proj.weight",
    prefix="model.",
    settings=_settings,
)
