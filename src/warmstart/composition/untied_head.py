"""Heads that a config calls tied to the word embedding, and that differ from it in the file."""

import logging
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch

from warmstart.checkpoint.files import Checkpoint
from warmstart.checkpoint.rename import Rule, locate
from warmstart.families.family import Family

__all__ = ["with_head_of_file"]

_TIED = "tie_word_embeddings"

logger = logging.getLogger(__name__)


def with_head_of_file(
    checkpoint: Checkpoint,
    config: Mapping[str, Any],
    family: Family,
    rules: Sequence[Rule],
    spelled: Mapping[str, str],
    *,
    decoder: str = "",
) -> Mapping[str, Any]:
    """The config of a decoder, not tied where its file has another head. A warning says so.

    A head that the family cannot hold apart from the word embedding is left out, with a warning.

    Args:
        checkpoint: has the tensors.
        config: the decoder's.
        family: the decoder's.
        rules: spell the tensors' names.
        spelled: names as the rules spell them -> as the file does.
        decoder: what our names of the decoder begin with.
    """
    head = family.head(config)
    if not head.tied or checkpoint.headers is not None:
        return config
    words = locate(f"{decoder}embedding.word.weight", rules).names[0]
    own = (
        locate("head.weight", rules).names[0]
        if any(rule.ours == "head.weight" for rule in rules)
        else None
    )
    outer = words.partition(".")[0] + "." if decoder and words.startswith(decoder) else ""
    patterns = [f"{outer}*{pattern}" for pattern in family.ignored]
    shapes = checkpoint.shapes()
    for name, theirs in spelled.items():
        if name == words or words not in spelled or shapes[theirs] != shapes[spelled[words]]:
            continue
        if name != own and not any(fnmatchcase(name, pattern) for pattern in patterns):
            continue
        tensors = checkpoint.read([theirs, spelled[words]])
        if torch.equal(tensors[theirs], tensors[spelled[words]]):
            continue
        if name == own and not head.bias:
            logger.warning(
                "The config of %s ties its head to the word embedding, but %s differs; the head in "
                "the file is kept.",
                checkpoint.name,
                theirs,
            )
            return {**config, _TIED: False}
        logger.warning(
            "%s has a head, %s, that differs from its word embedding, but a %s head is tied to it; "
            "the head in the file is left out.",
            checkpoint.name,
            theirs,
            family.name,
        )
    return config
