"""A pre-trained encoder-decoder's config.json: read, and written as it was."""

from collections.abc import Mapping
from typing import Any

import torch

from warmstart.checkpoint.files import Checkpoint
from warmstart.composition.composition import Composition
from warmstart.errors import CheckpointError
from warmstart.families.seq2seq_family import Seq2SeqFamily

__all__ = ["pretrained_config_json", "read_pretrained"]

_TIED = "tie_word_embeddings"
_DTYPES = ("dtype", "torch_dtype")  # what the files held before: the tensors themselves say


def read_pretrained(checkpoint: Checkpoint, family: Seq2SeqFamily) -> Composition:
    """What a folder with a pre-trained encoder-decoder describes.

    Where the config says that the head is the word embedding and the files hold two tensors that
    differ, it has a weight of its own: transformers 5 writes so of T5 v1.1.

    Raises:
        CheckpointError: if the files hold several word embeddings where there should be one.
    """
    spelled: dict[str, list[str]] = {}
    for name in checkpoint.files:
        spelled.setdefault(family.spell(name, tied=False), []).append(name)
    words, heads = spelled.get(family.words, []), spelled.get(family.head, [])
    for copy in words[1:]:
        if not _equal(checkpoint, words[0], copy):
            raise CheckpointError(
                f"{checkpoint.name} has one word embedding by its config, but {words[0]} and "
                f"{copy} differ; a model with one for each half cannot be loaded."
            )
    config = checkpoint.config
    tied = config.get(_TIED) is not False
    if tied and words and heads and not _equal(checkpoint, words[0], heads[0]):
        config = family.untied(config)
    return Composition(encoder=config, decoder=config, pretrained=True)


def pretrained_config_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config.json to save: as it was, but for the type of the numbers."""
    return {
        key: pretrained_config_json(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in _DTYPES
    }


def _equal(checkpoint: Checkpoint, one: str, other: str) -> bool:
    tensors = checkpoint.read([one, other])
    return torch.equal(tensors[one], tensors[other])
