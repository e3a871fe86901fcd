"""Options of a composition, listed and checked. Loads no torch."""

import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from warmstart.errors import UsageError
from warmstart.validation import Check, Metavar, validate

__all__ = [
    "NO_ENCODER",
    "RANDOM",
    "CheckpointName",
    "CompositionOptions",
    "CrossAttentionStart",
    "LmHead",
    "Share",
    "Size",
    "checkpoint_name",
    "is_random",
    "shares",
]

RANDOM: Final = "random:"  # before the name of a checkpoint: its architecture with random weights
NO_ENCODER: Final = "none"  # in place of the encoder's name, where a name has to be text

Share = Literal[
    "none",
    "embeddings",
    "layers",
    "all",
    "cross",
    "embeddings+cross",
    "layers+cross",
    "all+cross",
]
CrossAttentionStart = Literal["random", "copy", "gated", "merged"]
LmHead = Literal["checkpoint", "tied"]
Size = Literal["base", "large"]  # of the paper's checkpoints: 12 and 24 layers


def checkpoint_name(value: object) -> str:
    """A folder or hub id as text.

    Raises:
        UsageError: if it is neither text nor a path.
    """
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{value!r:.80} is not a checkpoint; give a folder or a hub id.")
    return os.fspath(value)


def _optional_name(value: object) -> str | None:
    return None if value is None else checkpoint_name(value)


def _layers(value: object) -> int | tuple[int, ...] | None:
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return tuple(map(int, value.split(","))) if "," in value else int(value)
        if isinstance(value, Sequence):
            return tuple(map(operator.index, value))
        return operator.index(value)  # type: ignore[arg-type]  # or a TypeError
    except (TypeError, ValueError):
        raise ValueError("give a number of layers (2), or layers from 0 (0,2,5).") from None


CheckpointName = Annotated[str | os.PathLike[str], Check(checkpoint_name)]
_LayerChoice = Annotated[int | Sequence[int] | None, Check(_layers), Metavar("N|I,J,...")]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositionOptions:
    """Options of `Seq2Seq.warm_start`, and the section `model` of a recipe, with two checkpoints.

    Raises:
        UsageError: if an option is not allowed.
    """

    encoder: Annotated[str | os.PathLike[str] | None, Check(_optional_name)] = field(kw_only=False)
    """Folder or hub id of a checkpoint; random:NAME takes its architecture and tokenizer with
    random weights. None, or none: no encoder; the decoder reads the source as the prefix of the
    target."""

    decoder: CheckpointName = field(kw_only=False)
    """Folder or hub id of a checkpoint, or random:NAME. An encoder-only checkpoint becomes causal
    and gains cross-attention and a language-modelling head."""

    share: Share = "none"
    """Parameters that the halves share: embeddings, layers or all (both); with cross, the decoder's
    cross-attention uses the projections of its self-attention. A random half takes the other's
    vocabulary with shared embeddings."""

    cross_attention: CrossAttentionStart = "random"
    """Initial cross-attention: random, as in the paper; copy, of each layer's self-attention;
    gated, such a copy with a gate that is closed at first, so that the decoder starts as its
    checkpoint; merged, no new parameters: self-attention reads the source, too, in one softmax."""

    lm_head: LmHead = "checkpoint"
    """The decoder family's own head (its transform random if the checkpoint has none); or tied,
    the word embedding alone, as in the paper."""

    encoder_layers: _LayerChoice = None
    """Number of the checkpoint's layers to take, from the first; or a list of them, from 0.
    Default: all."""

    decoder_layers: _LayerChoice = None
    """The same for the decoder. Default: all."""

    target_vocabulary: Annotated[CheckpointName, Metavar("WHOSE")] = "decoder"
    """Tokenizer of the targets: the decoder's, the encoder's, or a folder or hub id. Rows of tokens
    that the decoder's own tokenizer has are kept, also in the head; others start random. With
    shared embeddings the source takes the vocabulary, too."""

    seed: int = 0
    """Seed of the random tensors."""

    def __post_init__(self) -> None:
        validate(self)


def is_random(name: str | os.PathLike[str]) -> bool:
    """Whether the name asks for random weights."""
    return os.fspath(name).startswith(RANDOM)


def shares(share: Share, what: Literal["embeddings", "layers", "cross"]) -> bool:
    """Whether a kind of sharing includes another; "all" is embeddings and layers."""
    parts = share.split("+")
    return what in parts or (what != "cross" and "all" in parts)
