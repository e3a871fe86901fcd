"""What a warm start will be, before any weight is read."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from transformers import PreTrainedTokenizerBase

from warmstart.checkpoint.files import (
    Checkpoint,
    find_folder,
    open_checkpoint,
    open_headers,
)
from warmstart.composition.compose import plan
from warmstart.composition.composition import Composition, configure
from warmstart.composition.half import Source
from warmstart.composition.layers import choose_layers
from warmstart.composition.options import CrossAttentionStart, LmHead, Share, Size, shares
from warmstart.composition.provenance import Provenance
from warmstart.composition.sharing import check_sharing
from warmstart.composition.variants import CHECKPOINTS, kind, variant, variant_composition
from warmstart.errors import CompositionError, UsageError, did_you_mean
from warmstart.families.catalogue import family_of
from warmstart.families.family import Config
from warmstart.text.tokenizer_pair import TokenizerPair, load_tokenizer, same_vocabulary
from warmstart.text.vocabulary import kept_rows, with_vocabulary

__all__ = ["Blueprint", "of_checkpoints", "of_variant"]

RANDOM = "random:"  # before a checkpoint's name: its architecture with random weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """All that a composition needs.

    Attributes:
        composition: the architectures and how they are joined.
        encoder: what the encoder starts from; None for random weights.
        decoder: likewise.
        tokenizers: of source and target.
    """

    composition: Composition
    encoder: Source | None
    decoder: Source | None
    tokenizers: TokenizerPair

    def provenance(self) -> Provenance:
        """Where every tensor will come from. Reads names and shapes, and no weights."""
        return plan(self.composition, self.encoder, self.decoder)


def of_checkpoints(
    *,
    encoder: str | os.PathLike[str] | None,
    decoder: str | os.PathLike[str],
    share: Share = "none",
    cross_attention: CrossAttentionStart = "random",
    lm_head: LmHead = "checkpoint",
    encoder_layers: int | Sequence[int] | None = None,
    decoder_layers: int | Sequence[int] | None = None,
    target_vocabulary: str | os.PathLike[str] = "decoder",
    headers_only: bool = False,
) -> Blueprint:
    """Joins two checkpoints; for the arguments and errors see `Seq2Seq.warm_start`.

    With ``headers_only`` no weights of hub ids are fetched: enough for `Blueprint.provenance`, but
    not to compose.
    """
    _check_choices(share=share, cross_attention=cross_attention, lm_head=lm_head)
    encoder_checkpoint, encoder_random = _open(encoder, headers_only=headers_only)
    decoder_checkpoint, decoder_random = _open(decoder, headers_only=headers_only)
    assert decoder_checkpoint is not None
    composition = Composition(
        encoder=None if encoder_checkpoint is None else encoder_checkpoint.config,
        decoder=decoder_checkpoint.config,
        share=share,
        cross_attention=cross_attention,
        lm_head=lm_head,
    )
    composition = _with_layers(composition, encoder_layers, decoder_layers)
    if (
        shares(share, "embeddings")
        and encoder_checkpoint is not None
        and encoder_checkpoint.folder != decoder_checkpoint.folder
        and encoder_random != decoder_random
    ):
        # A random half has no vocabulary of its own to lose.
        adopted: Literal["encoder", "decoder"] = "decoder" if encoder_random else "encoder"
        composition = replace(composition, embedding=adopted)
    return _join(
        composition,
        encoder_checkpoint,
        decoder_checkpoint,
        random=(encoder_random, decoder_random),
        target_vocabulary=os.fspath(target_vocabulary),
    )


def of_variant(
    name: str,
    *,
    checkpoints: Mapping[str, str | os.PathLike[str]] | None = None,
    size: Size = "base",
    lm_head: LmHead = "tied",
    headers_only: bool = False,
) -> Blueprint:
    """One of the paper's models; for the arguments and errors see `Seq2Seq.from_variant`.

    For ``headers_only`` see `of_checkpoints`.
    """
    _check_choices(lm_head=lm_head)
    chosen = variant(name)
    given = dict(checkpoints or {})
    for key in given:
        if key not in chosen.kinds():
            raise UsageError(
                f"The variant {name} has no checkpoint of the kind '{key}'; "
                f"{did_you_mean(key, chosen.kinds())}"
            )
    opened = {}
    for needed in chosen.kinds():
        only_random = all(
            half is None or half.startswith(RANDOM) or kind(half) != needed
            for half in (chosen.encoder, chosen.decoder)
        )
        name_or_folder = given.get(needed, CHECKPOINTS[needed, size])
        if headers_only and not only_random:
            opened[needed] = open_headers(name_or_folder)
        else:
            opened[needed] = open_checkpoint(name_or_folder, weights=not only_random)
    composition = replace(
        variant_composition(name, {kind: found.config for kind, found in opened.items()}),
        lm_head=lm_head,
    )
    return _join(
        composition,
        None if chosen.encoder is None else opened[kind(chosen.encoder)],
        opened[kind(chosen.decoder)],
        random=(
            chosen.encoder is None or chosen.encoder.startswith(RANDOM),
            chosen.decoder.startswith(RANDOM),
        ),
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
    # First of all: what the two configs alone can tell.
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
    """The tokenizer that a target vocabulary names, and the rows of its embedding."""
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
    """A folder with a tokenizer alone, or a checkpoint's."""
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


def _open(
    name: str | os.PathLike[str] | None, *, headers_only: bool
) -> tuple[Checkpoint | None, bool]:
    """A half's checkpoint, and whether it is to be random."""
    if name is None:
        return None, True
    text = os.fspath(name)
    random = text.startswith(RANDOM)
    if headers_only and not random:
        return open_headers(text), False
    return open_checkpoint(text.removeprefix(RANDOM), weights=not random), random


def _check_choices(
    *, share: str = "none", cross_attention: str = "random", lm_head: str = "checkpoint"
) -> None:
    for name, value, choices in (
        ("share", share, get_args(Share)),
        ("cross_attention", cross_attention, get_args(CrossAttentionStart)),
        ("lm_head", lm_head, get_args(LmHead)),
    ):
        if value not in choices:
            raise UsageError(f"{name} is '{value}'; {did_you_mean(value, choices)}")
