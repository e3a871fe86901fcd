"""The plan of a composition, before any weight is read."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from transformers import PreTrainedTokenizerBase

from warmstart.checkpoint.files import (
    Checkpoint,
    find_folder,
    open_checkpoint,
    open_headers,
)
from warmstart.checkpoint.rename import locate
from warmstart.composition.compose import plan
from warmstart.composition.composition import Composition, configure
from warmstart.composition.composition_options import (
    NO_ENCODER,
    RANDOM,
    CompositionOptions,
    is_random,
    shares,
)
from warmstart.composition.half import Source
from warmstart.composition.layers import choose_layers
from warmstart.composition.provenance import Provenance
from warmstart.composition.sharing import check_sharing
from warmstart.composition.untied_head import with_head_of_file
from warmstart.composition.variants import (
    CHECKPOINTS,
    VariantOptions,
    checkpoint_kind,
    variant,
    variant_composition,
)
from warmstart.errors import CompositionError
from warmstart.families.catalogue import family_of
from warmstart.families.family import Config
from warmstart.families.file_names import file_names
from warmstart.families.text_part import text_config
from warmstart.text.tokenizer_files import load_tokenizer
from warmstart.text.tokenizer_pair import TokenizerPair, same_vocabulary
from warmstart.text.vocabulary import kept_rows, with_vocabulary

__all__ = ["Blueprint", "of_checkpoints", "of_variant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """The inputs of a composition.

    Attributes:
        composition: the architectures and their connection.
        encoder: checkpoint of the encoder; None for random weights.
        decoder: checkpoint of the decoder; None for random weights.
        tokenizers: of source and target.
    """

    composition: Composition
    encoder: Source | None
    decoder: Source | None
    tokenizers: TokenizerPair

    def provenance(self) -> Provenance:
        """The origin of every tensor. Reads names and shapes, but no weights."""
        return plan(self.composition, self.encoder, self.decoder)


def of_checkpoints(options: CompositionOptions, *, headers_only: bool = False) -> Blueprint:
    """Plans a composition of two checkpoints.

    Args:
        options: the checkpoints and choices.
        headers_only: whether to fetch no weights of hub ids: enough for `Blueprint.provenance`,
            but not to compose.

    Raises:
        CheckpointError: if a checkpoint cannot be found or read.
        CompositionError: if the two cannot be joined in this way.
    """
    encoder, decoder = options.encoder, options.decoder
    encoder_random = encoder is None or is_random(encoder)
    encoder_checkpoint = (
        None
        if encoder is None or encoder == NO_ENCODER
        else _open(encoder, headers_only=headers_only)
    )
    decoder_checkpoint = _open(decoder, headers_only=headers_only)
    decoder_config = decoder_checkpoint.config
    if not is_random(decoder) and options.lm_head != "tied":
        family = family_of(decoder_config, "The decoder")
        rules = family.rules(family.stack(decoder_config))
        words = locate("embedding.word.weight", rules).names
        decoder_config = with_head_of_file(
            decoder_checkpoint,
            decoder_config,
            family,
            rules,
            file_names(decoder_checkpoint.files, family, words).spelled,
        )
    composition = Composition(
        encoder=None if encoder_checkpoint is None else encoder_checkpoint.config,
        decoder=decoder_config,
        share=options.share,
        cross_attention=options.cross_attention,
        lm_head=options.lm_head,
    )
    composition = _with_layers(composition, options.encoder_layers, options.decoder_layers)
    if (
        shares(options.share, "embeddings")
        and encoder_checkpoint is not None
        and encoder_checkpoint.folder != decoder_checkpoint.folder
        and encoder_random != is_random(decoder)
    ):
        # A random half has no vocabulary of its own to preserve.
        adopted: Literal["encoder", "decoder"] = "decoder" if encoder_random else "encoder"
        composition = replace(composition, embedding=adopted)
    return _join(
        composition,
        encoder_checkpoint,
        decoder_checkpoint,
        random=(encoder_random, is_random(decoder)),
        target_vocabulary=os.fspath(options.target_vocabulary),
    )


def of_variant(options: VariantOptions, *, headers_only: bool = False) -> Blueprint:
    """Plans one of the paper's models.

    Args:
        options: the variant and its checkpoints.
        headers_only: see `of_checkpoints`.

    Raises:
        CheckpointError: see `of_checkpoints`.
        CompositionError: see `of_checkpoints`.
    """
    chosen = variant(options.variant)
    opened = {}
    for needed in chosen.kinds():
        only_random = all(
            half is None or is_random(half) or checkpoint_kind(half) != needed
            for half in (chosen.encoder, chosen.decoder)
        )
        name = options.checkpoints.get(needed, CHECKPOINTS[needed, options.size])
        if headers_only and not only_random:
            opened[needed] = open_headers(name)
        else:
            opened[needed] = open_checkpoint(name, weights=not only_random)
    configs = {kind: checkpoint.config for kind, checkpoint in opened.items()}
    return _join(
        replace(variant_composition(options.variant, configs), lm_head=options.lm_head),
        None if chosen.encoder is None else opened[checkpoint_kind(chosen.encoder)],
        opened[checkpoint_kind(chosen.decoder)],
        random=(chosen.encoder is None or is_random(chosen.encoder), is_random(chosen.decoder)),
        target_vocabulary="decoder",
    )


def _join(
    composition: Composition,
    encoder: Checkpoint | None,
    decoder: Checkpoint,
    *,
    random: tuple[bool, bool],
    target_vocabulary: str,
) -> Blueprint:
    # First the errors visible in the two configs alone.
    configure(composition)
    if encoder is None or composition.embedding == "decoder":
        source_of, target_of = decoder, decoder
    elif composition.embedding == "encoder":
        source_of, target_of = encoder, encoder
    else:
        source_of, target_of = encoder, decoder
    source = load_tokenizer(source_of.folder, f"the source tokenizer of {source_of.name}")
    target = source
    if target_of.folder != source_of.folder:
        target = load_tokenizer(target_of.folder, f"the target tokenizer of {target_of.name}")
    halves = [
        None if random[0] or encoder is None else Source(checkpoint=encoder),
        None if random[1] else Source(checkpoint=decoder),
    ]
    if target_vocabulary != "decoder":
        vocabulary, rows = _vocabulary(target_vocabulary, composition, source)
        together = encoder is None or shares(composition.share, "embeddings")
        composition = replace(
            composition,
            decoder=_replaced(composition.decoder, vocabulary, rows),
            target_vocabulary="replaced",
        )
        if halves[1] is not None:
            halves[1] = _keeping(halves[1], decoder, target, vocabulary, rows)
        if together and composition.encoder is not None and target_vocabulary != "encoder":
            composition = replace(
                composition, encoder=_replaced(composition.encoder, vocabulary, rows)
            )
            if halves[0] is not None and encoder is not None:
                halves[0] = _keeping(halves[0], encoder, source, vocabulary, rows)
        target = vocabulary
        source = vocabulary if together else source
    check_sharing(configure(composition), composition.share)
    if shares(composition.share, "embeddings") and not same_vocabulary(source, target):
        raise CompositionError(
            f"share='{composition.share}' needs one vocabulary, but the tokenizers of "
            f"{source_of.name} and {target_of.name} differ; use share='none' or 'layers', or "
            "target_vocabulary='encoder'."
        )
    config = composition.encoder if composition.embedding == "encoder" else composition.decoder
    assert config is not None
    return Blueprint(
        composition=composition,
        encoder=halves[0],
        decoder=halves[1],
        tokenizers=TokenizerPair.of(source, target, config),
    )


def _vocabulary(
    name: str, composition: Composition, source: PreTrainedTokenizerBase
) -> tuple[PreTrainedTokenizerBase, int]:
    """The tokenizer of a target vocabulary, and the rows of its embedding."""
    if name != "encoder":
        found = load_tokenizer(_tokenizer_folder(name), f"the target vocabulary {name}")
        return found, max(found.get_vocab().values()) + 1
    if composition.encoder is None:
        raise CompositionError(
            "target_vocabulary is 'encoder', but there is no encoder; use 'decoder', or the "
            "folder or hub id of a tokenizer."
        )
    family = family_of(composition.encoder, "The encoder")
    return source, family.stack(composition.encoder).embedding.vocabulary


def _tokenizer_folder(name: str) -> Path:
    """A folder with only a tokenizer, or that of a checkpoint."""
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else find_folder(name, weights=False)


def _replaced(config: Config, tokenizer: PreTrainedTokenizerBase, rows: int) -> Config:
    family = family_of(config, "The checkpoint")
    return with_vocabulary(config, tokenizer, rows, keep_pad=family.positions_skip_pad)


def _keeping(
    source: Source,
    checkpoint: Checkpoint,
    old: PreTrainedTokenizerBase,
    new: PreTrainedTokenizerBase,
    rows: int,
) -> Source:
    stack = family_of(checkpoint.config, checkpoint.name).stack(checkpoint.config)
    return replace(source, kept_rows=kept_rows(old, new, rows, stack.embedding.vocabulary))


def _with_layers(
    composition: Composition,
    encoder_layers: int | Sequence[int] | None,
    decoder_layers: int | Sequence[int] | None,
) -> Composition:
    if encoder_layers is not None:
        if composition.encoder is None:
            raise CompositionError(
                "encoder_layers is given, but there is no encoder; leave it out."
            )
        config, layers = choose_layers(composition.encoder, encoder_layers, "encoder")
        composition = replace(composition, encoder=config, encoder_layers=layers)
    if decoder_layers is not None:
        config, layers = choose_layers(composition.decoder, decoder_layers, "decoder")
        composition = replace(composition, decoder=config, decoder_layers=layers)
    return composition


def _open(name: str | os.PathLike[str], *, headers_only: bool) -> Checkpoint:
    text, random = os.fspath(name), is_random(name)
    if headers_only and not random:
        checkpoint = open_headers(text)
    else:
        checkpoint = open_checkpoint(text.removeprefix(RANDOM), weights=not random)
    return replace(checkpoint, config=text_config(checkpoint.config))
