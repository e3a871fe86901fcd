"""Data2Vec for text: RoBERTa, pre-trained on its own representations."""

from dataclasses import replace

from warmstart.families.family import Config
from warmstart.families.roberta import ROBERTA
from warmstart.model.config import StackConfig

__all__ = ["DATA2VEC_TEXT"]

# transformers' defaults of values missing from config.json.
_DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}


def _stack(config: Config) -> StackConfig:
    return ROBERTA.stack({**_DEFAULTS, **config})


DATA2VEC_TEXT = replace(
    ROBERTA,
    name="data2vec-text",
    description="Data2Vec for text, byte-level BPE: encoder-only, 512 tokens in 514 position rows",
    model_types=("data2vec-text",),
    stack=_stack,
    prefix="data2vec_text.",
    encoder_class="Data2VecTextModel",
    decoder_class="Data2VecTextForCausalLM",
)
