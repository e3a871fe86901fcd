"""Tiny encoder-only families, by their model_type."""

from collections.abc import Mapping

import transformers
from tests.tiny_family import TinyFamily
from transformers import PreTrainedConfig

__all__ = ["FAMILIES"]

_NO_IDS = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}  # theirs are large


def _electra(
    *, vocab_size: int, hidden_size: int, layers: int, ids: Mapping[str, int]
) -> PreTrainedConfig:
    return transformers.ElectraConfig(
        vocab_size=vocab_size,
        embedding_size=hidden_size // 2,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=64,
        **ids,
    )


def _distilbert(
    *, vocab_size: int, hidden_size: int, layers: int, ids: Mapping[str, int]
) -> PreTrainedConfig:
    return transformers.DistilBertConfig(
        vocab_size=vocab_size,
        dim=hidden_size,
        n_layers=layers,
        n_heads=4,
        hidden_dim=2 * hidden_size,
        max_position_embeddings=64,
        **ids,
    )


def _modernbert(
    *, vocab_size: int, hidden_size: int, layers: int, ids: Mapping[str, int]
) -> PreTrainedConfig:
    return transformers.ModernBertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=64,
        global_attn_every_n_layers=2,
        local_attention=6,  # a token sees three to either side: less than the sentences are long
        cls_token_id=None,
        sep_token_id=None,
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 1_000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10.0},
        },
        **{**_NO_IDS, **ids},
    )


def _mpnet(
    *, vocab_size: int, hidden_size: int, layers: int, ids: Mapping[str, int]
) -> PreTrainedConfig:
    return transformers.MPNetConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=66,  # the first two are never used
        **ids,
    )


def _nomic_bert(
    *, vocab_size: int, hidden_size: int, layers: int, ids: Mapping[str, int]
) -> PreTrainedConfig:
    return transformers.NomicBertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=64,
        **ids,
    )


def _eurobert(
    *, vocab_size: int, hidden_size: int, layers: int, ids: Mapping[str, int]
) -> PreTrainedConfig:
    return transformers.EuroBertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=64,
        rope_parameters={"rope_type": "default", "rope_theta": 250.0},
        **{**_NO_IDS, **ids},
    )


FAMILIES: dict[str, TinyFamily] = {
    "electra": TinyFamily(config=_electra, model=transformers.ElectraForMaskedLM, tokenizer="bert"),
    "distilbert": TinyFamily(
        config=_distilbert, model=transformers.DistilBertForMaskedLM, tokenizer="bert"
    ),
    "modernbert": TinyFamily(
        config=_modernbert, model=transformers.ModernBertForMaskedLM, tokenizer="bert"
    ),
    "mpnet": TinyFamily(config=_mpnet, model=transformers.MPNetForMaskedLM, tokenizer="roberta"),
    "nomic_bert": TinyFamily(
        config=_nomic_bert, model=transformers.NomicBertForMaskedLM, tokenizer="bert"
    ),
    "eurobert": TinyFamily(
        config=_eurobert, model=transformers.EuroBertForMaskedLM, tokenizer="roberta"
    ),
}
