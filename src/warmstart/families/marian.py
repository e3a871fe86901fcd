"""Marian, the translation models of OPUS-MT."""

from collections.abc import Mapping
from typing import Any

from warmstart.errors import CheckpointError
from warmstart.families.bart import COPIES, WORDS, bart_model, bart_rules
from warmstart.families.family import Config, field
from warmstart.families.seq2seq_family import Seq2SeqFamily
from warmstart.model.config import EncoderDecoderConfig, SinusoidalPositions

__all__ = ["MARIAN"]


def _configure(config: Config) -> EncoderDecoderConfig:
    rows, target_rows = (
        field(config, "vocab_size", 58_101),
        field(config, "decoder_vocab_size", field(config, "vocab_size", 58_101)),
    )
    if not field(config, "share_encoder_decoder_embeddings", True) or rows != target_rows:
        raise CheckpointError(
            f"This marian checkpoint has a vocabulary for sources ({rows} tokens) and another for "
            f"targets ({target_rows}), or an embedding for each; only one with a common vocabulary "
            "(share_encoder_decoder_embeddings) can be loaded."
        )
    return bart_model(
        config,
        vocabulary=58_101,
        positions=SinusoidalPositions(limit=field(config, "max_position_embeddings", 1024)),
        embedding_norm=None,
    )


def _settings(config: Config) -> Mapping[str, Any]:
    return {
        "decoder_start_token_id": 58_100,
        "eos_token_id": 0,
        "pad_token_id": 58_100,
        "forced_eos_token_id": 0,
    }


MARIAN = Seq2SeqFamily(
    name="marian",
    description="Marian (OPUS-MT): pre-trained encoder-decoder for translation, fixed positions",
    model_types=("marian",),
    configure=_configure,
    rules=bart_rules,
    words=WORDS,
    copies=COPIES,
    head="lm_head.weight",
    prefix="model.",
    settings=_settings,
    optional=("head.bias",),
    # The positions are computed; some files hold their table.
    ignored=("model.*.embed_positions.weight",),
)
