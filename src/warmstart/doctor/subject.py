"""The examined folder, opened as far as possible."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from warmstart.checkpoint.files import Checkpoint, open_checkpoint, read_json
from warmstart.composition.composition import Composition, configure
from warmstart.composition.model_folder import ModelFolder, open_model_folder
from warmstart.composition.saved_model import is_model
from warmstart.errors import CheckpointError, WarmstartError
from warmstart.families.catalogue import family_of
from warmstart.families.family import Config
from warmstart.families.text_part import text_config
from warmstart.generation.saved import FILE as GENERATION
from warmstart.model.config import StackConfig
from warmstart.model.device import choose_device
from warmstart.seq2seq import Seq2Seq
from warmstart.text.tokenizer_files import load_tokenizer

__all__ = ["Pair", "Side", "Subject", "open_subject"]

Pair = tuple[str, str]  # a source text and its target

_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The vocabulary of the source or the target.

    Attributes:
        name: "source", "target", or "checkpoint" where nothing is composed.
        config: config.json of the vocabulary's checkpoint.
        stack: the stack with the embedding.
        tokenizer: None if it cannot be loaded.
        complaint: the reason.
        replaced: whether the vocabulary replaces the checkpoint's own.
    """

    name: str
    config: Config
    stack: StackConfig
    tokenizer: PreTrainedTokenizerBase | None
    complaint: str = ""
    replaced: bool = False

    def special_ids(self) -> dict[str, list[int]]:
        """The special tokens in the config, by key; several end tokens are a list."""
        # Of a replaced vocabulary the config may still have the old pad, from which RoBERTa's
        # positions are counted.
        keys = _KEYS[:2] if self.replaced else _KEYS
        configured = {key: self.config.get(key) for key in keys}
        return {
            key: ids if isinstance(ids, list) else [ids]
            for key, ids in configured.items()
            if ids is not None
        }

    @property
    def rows(self) -> int:
        """Rows of the word embedding."""
        return self.stack.embedding.vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model, or a checkpoint to compose, opened as far as possible.

    Attributes:
        checkpoint: its config and tensors.
        composition: of a model; None for a single checkpoint.
        sides: source and target; one alone where the decoder reads the source as its prefix, or
            for a single checkpoint.
        settings: generation_config.json; empty without one.
        model: None if it cannot be loaded.
        refusal: the reason.
        pairs: texts for the checks.
        pairs_given: whether they are the user's.
    """

    checkpoint: Checkpoint
    composition: Composition | None
    sides: tuple[Side, ...]
    settings: Mapping[str, Any]
    model: Seq2Seq | None
    refusal: str
    pairs: Sequence[Pair]
    pairs_given: bool

    @property
    def name(self) -> str:
        """As the user wrote it."""
        return self.checkpoint.name

    @property
    def absence(self) -> str:
        """The reason for skipping a check that needs a loaded model."""
        return "It is not composed." if self.composition is None else "It does not load."

    @property
    def target(self) -> Side:
        """The side of the outputs."""
        return self.sides[-1]


def open_subject(
    name: str | os.PathLike[str],
    pairs: Sequence[Pair],
    *,
    pairs_given: bool,
    device: str | None = None,
) -> Subject:
    """Opens a folder or hub id as far as possible.

    Raises:
        CheckpointError: if its config or tensors cannot be read at all, or are of no supported
            family.
        CompositionError: if its config describes an impossible composition.
    """
    checkpoint = open_checkpoint(name)
    saved = checkpoint.folder / GENERATION
    settings = read_json(saved) if saved.is_file() else {}
    folder, model = None, None
    refusal = (
        f"{checkpoint.name} is a single checkpoint ({checkpoint.config['model_type']}), not an "
        "encoder-decoder."
    )
    if is_model(checkpoint.config):
        choose_device(device)
        folder, refusal = open_model_folder(checkpoint), ""
        try:
            model = Seq2Seq.from_pretrained(name, device=device)
        except WarmstartError as error:
            refusal = str(error)
    return Subject(
        checkpoint=checkpoint,
        composition=None if folder is None else folder.composition,
        sides=_of_checkpoint(checkpoint) if folder is None else _of_model(folder),
        settings=settings,
        model=model,
        refusal=refusal,
        pairs=pairs,
        pairs_given=pairs_given,
    )


def _of_checkpoint(checkpoint: Checkpoint) -> tuple[Side, ...]:
    config = text_config(checkpoint.config)
    family = family_of(config, checkpoint.name)
    tokenizer, complaint = _read(
        lambda: load_tokenizer(checkpoint.folder, f"the checkpoint tokenizer of {checkpoint.name}")
    )
    return (
        Side(
            name="checkpoint",
            config=config,
            stack=family.stack(config),
            tokenizer=tokenizer,
            complaint=complaint,
        ),
    )


def _of_model(folder: ModelFolder) -> tuple[Side, ...]:
    composition = folder.composition
    config = configure(composition)
    # A half that uses the other's embedding uses its vocabulary, too.
    of_source = composition.decoder if composition.embedding == "decoder" else composition.encoder
    of_target = composition.encoder if composition.embedding == "encoder" else composition.decoder
    tokenizer, complaint = _read(folder.target_tokenizer)
    target = Side(
        name="target",
        config=of_target or composition.decoder,
        stack=config.decoder,
        tokenizer=tokenizer,
        complaint=complaint,
        replaced=composition.target_vocabulary == "replaced",
    )
    if of_source is None or config.encoder is None:
        return (target,)
    tokenizer, complaint = _read(folder.source_tokenizer)
    source = replace(
        target,
        name="source",
        config=of_source,
        stack=config.encoder,
        tokenizer=tokenizer,
        complaint=complaint,
    )
    return source, target


def _read(
    load: Callable[[], PreTrainedTokenizerBase],
) -> tuple[PreTrainedTokenizerBase | None, str]:
    """A tokenizer, or the reason that it cannot be loaded."""
    try:
        return load(), ""
    except CheckpointError as error:
        return None, str(error)
