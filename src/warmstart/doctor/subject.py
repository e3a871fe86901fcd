"""What is examined: a folder opened as far as it can be."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from warmstart.checkpoint.files import Checkpoint, open_checkpoint, read_json
from warmstart.composition.composition import Composition, configure
from warmstart.composition.model_folder import ModelFolder, open_model_folder
from warmstart.composition.saved import is_model
from warmstart.errors import CheckpointError, WarmstartError
from warmstart.families.catalogue import family_of
from warmstart.families.family import Config
from warmstart.generation.saved import FILE as GENERATION
from warmstart.model.config import StackConfig
from warmstart.seq2seq import Seq2Seq
from warmstart.text.tokenizer_files import load_tokenizer

__all__ = ["Pair", "Side", "Subject", "open_subject"]

Pair = tuple[str, str]  # a source text and its target

_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A vocabulary that the model reads or writes.

    Attributes:
        name: "source", "target", or "checkpoint" where nothing is composed.
        config: config.json of the checkpoint whose vocabulary it is.
        stack: what looks the tokens up.
        tokenizer: None if it cannot be loaded.
        complaint: why not.
        replaced: whether the vocabulary was put in the place of the checkpoint's own.
    """

    name: str
    config: Config
    stack: StackConfig
    tokenizer: PreTrainedTokenizerBase | None
    complaint: str = ""
    replaced: bool = False

    def special_ids(self) -> dict[str, list[int]]:
        """The special tokens that the config says, by its key; several end tokens are a list."""
        # Of a replaced vocabulary the config may still have the old pad, from which RoBERTa's
        # positions are counted.
        keys = _KEYS[:2] if self.replaced else _KEYS
        said = {key: self.config.get(key) for key in keys}
        return {
            key: ids if isinstance(ids, list) else [ids]
            for key, ids in said.items()
            if ids is not None
        }

    @property
    def rows(self) -> int:
        """Rows of the word embedding."""
        return self.stack.embedding.vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model, or a checkpoint to compose, opened as far as it can be.

    Attributes:
        checkpoint: its config and tensors.
        composition: what it is composed of; None for a single checkpoint.
        sides: source and target; one alone where the decoder reads the source as its prefix, or
            nothing is composed.
        settings: generation_config.json; empty where there is none.
        model: None if it cannot be loaded.
        refusal: why not.
        pairs: texts to try it on.
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
        """As the user gave it."""
        return self.checkpoint.name

    @property
    def absence(self) -> str:
        """What to say where a loaded model is needed and there is none."""
        return "It is not composed." if self.composition is None else "It does not load."

    @property
    def target(self) -> Side:
        """What is written."""
        return self.sides[-1]


def open_subject(
    name: str | os.PathLike[str], pairs: Sequence[Pair], *, pairs_given: bool
) -> Subject:
    """Opens a folder or hub id as far as it can be.

    Raises:
        CheckpointError: if its config or tensors cannot be read at all, or are of no family that
            we have.
        CompositionError: if its config describes what cannot be composed.
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
        folder, refusal = open_model_folder(checkpoint), ""
        try:
            model = Seq2Seq.from_pretrained(name)
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
    family = family_of(checkpoint.config, checkpoint.name)
    tokenizer, complaint = _read(
        lambda: load_tokenizer(checkpoint.folder, f"the checkpoint tokenizer of {checkpoint.name}")
    )
    return (
        Side(
            name="checkpoint",
            config=checkpoint.config,
            stack=family.stack(checkpoint.config),
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
    """A tokenizer, or why it cannot be loaded."""
    try:
        return load(), ""
    except CheckpointError as error:
        return None, str(error)
