"""Tiny encoder-only families, by their model_type."""

import transformers
from tests.support.tiny_family import TinyFamily, maker

__all__ = ["FAMILIES"]

_NO_IDS = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}  # theirs are large


_DISTILBERT = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
}
_BASES = {
    "full_attention": {"rope_type": "default", "rope_theta": 1_000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10.0},
}

FAMILIES: dict[str, TinyFamily] = {
    "ernie": TinyFamily(
        config=maker("ernie", use_task_id=True),
        model=transformers.ErnieForMaskedLM,
        tokenizer="bert",
    ),
    "data2vec-text": TinyFamily(
        config=maker("data2vec-text", max_position_embeddings=66),
        model=transformers.Data2VecTextForMaskedLM,
        tokenizer="roberta",
    ),
    "electra": TinyFamily(
        config=maker("electra", embedding_size=lambda width: width // 2),
        model=transformers.ElectraForMaskedLM,
        tokenizer="bert",
    ),
    "distilbert": TinyFamily(
        config=maker("distilbert", keys=_DISTILBERT),
        model=transformers.DistilBertForMaskedLM,
        tokenizer="bert",
    ),
    "modernbert": TinyFamily(
        config=maker(
            "modernbert",
            **_NO_IDS,
            global_attn_every_n_layers=2,
            local_attention=6,  # a token sees three to either side: fewer than sentences have
            cls_token_id=None,
            sep_token_id=None,
            rope_parameters=_BASES,
        ),
        model=transformers.ModernBertForMaskedLM,
        tokenizer="bert",
    ),
    "mpnet": TinyFamily(
        config=maker("mpnet", max_position_embeddings=66),  # the first two are never used
        model=transformers.MPNetForMaskedLM,
        tokenizer="roberta",
    ),
    "nomic_bert": TinyFamily(
        config=maker("nomic_bert"), model=transformers.NomicBertForMaskedLM, tokenizer="bert"
    ),
    "eurobert": TinyFamily(
        config=maker(
            "eurobert",
            **_NO_IDS,
            num_key_value_heads=2,
            rope_parameters={"rope_type": "default", "rope_theta": 250.0},
        ),
        model=transformers.EuroBertForMaskedLM,
        tokenizer="roberta",
    ),
}
