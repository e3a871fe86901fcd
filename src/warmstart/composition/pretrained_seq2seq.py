"""The config.json of a pre-trained encoder-decoder: read, and written unchanged."""

from collections.abc import Mapping
from typing import Any

import torch

from warmstart.checkpoint.files import Checkpoint
from warmstart.composition.composition import Composition
from warmstart.errors import CheckpointError
from warmstart.families.config_values import check_values
from warmstart.families.seq2seq_family import Seq2SeqFamily

__all__ = ["pretrained_config_json", "read_pretrained"]

_TIED = "tie_word_embeddings"
_DTYPES = ("dtype", "torch_dtype")  # the tensors themselves have them


def read_pretrained(checkpoint: Checkpoint, family: Seq2SeqFamily) -> Composition:
    """The composition of a folder with a pre-trained encoder-decoder.

    If the head is the word embedding by the config, but the files hold two tensors that differ, the
    head has a weight of its own: transformers 5 writes T5 v1.1 in this way.

    Raises:
        CheckpointError: if the files hold several word embeddings in place of one.
    """
    for half in (checkpoint.config, *map(checkpoint.config.get, ("encoder", "decoder"))):
        if isinstance(half, Mapping):
            check_values(half, checkpoint.name)
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
    """The config.json to save: unchanged, except for the dtype."""
    return {
        key: pretrained_config_json(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in _DTYPES
    }


def _equal(checkpoint: Checkpoint, one: str, other: str) -> bool:
    tensors = checkpoint.read([one, other])
    return torch.equal(tensors[one], tensors[other])
