"""What a tiny reference model of one family is made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import transformers
from transformers import PreTrainedConfig, PreTrainedModel

__all__ = ["MakeConfig", "TinyFamily", "maker"]

_ALTERNATING = ("sliding_attention", "full_attention")


class MakeConfig(Protocol):
    """Makes a tiny configuration, with 64 positions and 4 attention heads."""

    def __call__(
        self, *, vocab_size: int, hidden_size: int, layers: int, ids: Mapping[str, int]
    ) -> PreTrainedConfig:
        """`ids` holds pad_token_id, bos_token_id and eos_token_id where the tokenizer has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyFamily:
    """One family.

    Attributes:
        config: makes its configuration.
        model: the class that it is pre-trained with, head included.
        tokenizer: which of the tokenizers of `tests.support.tiny` it takes: "bert", "roberta",
            "bert-generation", "gpt2", "opt", "llama", "qwen" or "gemma".
    """

    config: MakeConfig
    model: type[PreTrainedModel]
    tokenizer: str


def maker(model_type: str, *, keys: Mapping[str, str] | None = None, **values: Any) -> MakeConfig:
    """What makes configurations of a family.

    Args:
        model_type: the family's.
        keys: its own names of the sizes that are usually called as in Llama's config.json.
        values: others; layers alternate where `layer_types` is True, and a function of the width
            gives the value for it.
    """

    def make(
        *, vocab_size: int, hidden_size: int, layers: int, ids: Mapping[str, int]
    ) -> PreTrainedConfig:
        rest = {
            key: value(hidden_size) if callable(value) else value for key, value in values.items()
        }
        if rest.pop("layer_types", False):
            rest["layer_types"] = [_ALTERNATING[layer % 2] for layer in range(layers)]
        sizes = {
            "vocab_size": vocab_size,
            "hidden_size": hidden_size,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "intermediate_size": 2 * hidden_size,
            "max_position_embeddings": 64,
        }
        if rest.pop("local_layers", False):  # GPT-Neo's way
            rest["attention_types"] = [[["global", "local"], layers // 2]]
        named = {(keys or {}).get(key, key): value for key, value in sizes.items()}
        config: PreTrainedConfig = transformers.AutoConfig.for_model(
            model_type, **{**named, **rest, **ids}
        )
        return config

    return make
