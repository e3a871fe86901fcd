"""What a tiny reference model of one family is made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from transformers import PreTrainedConfig, PreTrainedModel

__all__ = ["MakeConfig", "TinyFamily"]


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
        tokenizer: which of the tokenizers of `tests.tiny` it takes: "bert", "roberta",
            "bert-generation", "gpt2", "opt", "llama", "qwen" or "gemma".
    """

    config: MakeConfig
    model: type[PreTrainedModel]
    tokenizer: str
