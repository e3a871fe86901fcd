"""What a user holds: a model with its tokenizers. Text in, text out."""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack

import torch
from transformers import PreTrainedTokenizerBase

from warmstart.blueprint import Blueprint, of_checkpoints, of_variant
from warmstart.checkpoint.files import open_checkpoint, read_json, replace_folder
from warmstart.composition.compose import compose
from warmstart.composition.composition import Composition
from warmstart.composition.options import CrossAttentionStart, LmHead, Share, Size
from warmstart.composition.provenance import Provenance
from warmstart.composition.saved import (
    load_model,
    needs_target_tokenizer,
    read_composition,
    save_model,
)
from warmstart.errors import CompositionError, UsageError, did_you_mean
from warmstart.generation.alignment import AlignmentLayers, cross_attention_weights
from warmstart.generation.guide import Guide
from warmstart.generation.hypothesis import Hypothesis
from warmstart.generation.options import (
    SAMPLING,
    Constraints,
    GenerationOptions,
    GenerationOverrides,
)
from warmstart.generation.result import Alignment, Generated
from warmstart.generation.saved import FILE as GENERATION
from warmstart.generation.saved import (
    read_constraints,
    read_generation,
    saved_settings,
    warn_of_unknown,
    write_generation,
)
from warmstart.generation.search import search_all
from warmstart.generation.trie import Trie
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.model_card import model_card
from warmstart.text.tokenizer_pair import (
    TARGET_FOLDER,
    TokenizerPair,
    load_tokenizer,
    tokens_beyond,
)

__all__ = ["Seq2Seq"]

logger = logging.getLogger(__name__)

RANDOM = "random:"  # before a checkpoint's name: its architecture with random weights
PROVENANCE = "provenance.json"


class Seq2Seq:
    """A sequence-to-sequence model with its tokenizers.

    Make one with `warm_start`, `from_variant` or `from_pretrained`.

    Attributes:
        model: the encoder-decoder, a torch module.
        tokenizers: of source and target, and the target's special tokens.
        composition: what it is made of.
        generation: decoding defaults, saved with the model.
        constraints: what holds for every output, whatever the decoding settings.
        provenance: where every tensor came from when it was composed; None for a folder that
            does not say.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        tokenizers: TokenizerPair,
        composition: Composition,
        *,
        generation: GenerationOptions | None = None,
        constraints: Constraints | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        self.model = model
        self.tokenizers = tokenizers
        self.composition = composition
        self.generation = generation or GenerationOptions()
        self.constraints = constraints or Constraints()
        self.provenance = provenance
        _check_vocabulary(self)

    @classmethod
    def warm_start(
        cls,
        *,
        encoder: str | os.PathLike[str] | None,
        decoder: str | os.PathLike[str],
        share: Share = "none",
        cross_attention: CrossAttentionStart = "random",
        lm_head: LmHead = "checkpoint",
        encoder_layers: int | Sequence[int] | None = None,
        decoder_layers: int | Sequence[int] | None = None,
        target_vocabulary: str | os.PathLike[str] = "decoder",
        seed: int = 0,
    ) -> "Seq2Seq":
        """Composes two pre-trained checkpoints.

        Args:
            encoder: a folder or hub id; ``random:`` before it takes its architecture and
                tokenizer with random weights. None: no encoder, the decoder reads the source as
                the prefix of the target.
            decoder: likewise. An encoder-only checkpoint becomes causal and gains
                cross-attention and a language-modelling head.
            share: parameters that both halves hold in common: "none", "embeddings", "layers" or
                "all"; and "cross", alone or as "all+cross": the decoder's cross-attention uses
                the projections of its self-attention. A random half takes the other's vocabulary
                when embeddings are shared.
            cross_attention: how the new cross-attention starts: "random", as in the paper; "copy"
                of each layer's self-attention; "gated", such a copy behind a gate that begins at
                zero, so that the decoder starts as what it was; or "merged", without anything
                new: self-attention's own projections read the source as well, in one softmax.
            lm_head: "checkpoint" is the decoder family's own head (its transform random where
                the checkpoint has none); "tied" is the word embedding alone, as in the paper.
            encoder_layers: how many of the checkpoint's layers to take, from the first; or which,
                from 0. Default: all.
            decoder_layers: likewise.
            target_vocabulary: "decoder" or "encoder", whose tokenizer the targets take; or the
                folder or hub id of another tokenizer. Rows of tokens that the decoder's own
                tokenizer knows by the same text are kept, in the head too; others start random.
                Where embeddings are shared the source takes the vocabulary as well.
            seed: of the random tensors.

        Raises:
            CheckpointError: if a checkpoint cannot be found or read, or does not fit its config.
            CompositionError: if the two cannot be joined as asked.
        """
        blueprint = of_checkpoints(
            encoder=encoder,
            decoder=decoder,
            share=share,
            cross_attention=cross_attention,
            lm_head=lm_head,
            encoder_layers=encoder_layers,
            decoder_layers=decoder_layers,
            target_vocabulary=target_vocabulary,
        )
        return cls.from_blueprint(blueprint, seed=seed)

    @classmethod
    def from_variant(
        cls,
        name: str,
        *,
        checkpoints: Mapping[str, str | os.PathLike[str]] | None = None,
        size: Size = "base",
        lm_head: LmHead = "tied",
        seed: int = 0,
    ) -> "Seq2Seq":
        """Composes one of the paper's models by its name, such as "bertShare".

        Args:
            name: see ``warmstart list variants``.
            checkpoints: checkpoint by kind ("bert", "roberta", "gpt2"); default: the published
                ones.
            size: "base" (12 layers) or "large" (24), where `checkpoints` does not say.
            lm_head: "tied", as in the paper, or "checkpoint", see `warm_start`.
            seed: of the random tensors.

        Raises:
            UsageError: if there is no such variant or kind.
            CheckpointError: see `warm_start`.
            CompositionError: see `warm_start`.
        """
        blueprint = of_variant(name, checkpoints=checkpoints, size=size, lm_head=lm_head)
        return cls.from_blueprint(blueprint, seed=seed)

    @classmethod
    def from_blueprint(cls, blueprint: Blueprint, *, seed: int = 0) -> "Seq2Seq":
        """Composes what a blueprint describes."""
        model, provenance = compose(
            blueprint.composition, blueprint.encoder, blueprint.decoder, seed=seed
        )
        return cls(model, blueprint.tokenizers, blueprint.composition, provenance=provenance)

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> "Seq2Seq":
        """Loads a model folder: one of ours, or one that transformers saved.

        A pre-trained encoder-decoder (T5, BART, Marian, T5Gemma) is loaded whole.

        Args:
            name: a folder or hub id.
            device: default: a GPU if there is one, else the CPU.
            dtype: of the weights.

        Raises:
            CheckpointError: if the folder cannot be read, lacks a tokenizer, or does not fit
                its config.
        """
        checkpoint = open_checkpoint(name)
        composition = read_composition(checkpoint)
        source = load_tokenizer(checkpoint.folder, f"the source tokenizer of {name}")
        target = source
        if needs_target_tokenizer(checkpoint, composition):
            target = load_tokenizer(
                checkpoint.folder / TARGET_FOLDER, f"the target tokenizer of {name}"
            )
        tokenizers = TokenizerPair.of(source, target, composition.decoder, composition.target_start)
        settings = saved_settings(checkpoint, composition)
        warn_of_unknown(settings, checkpoint.name)
        generation, special = read_generation(settings, tokenizers.special)
        tokenizers = replace(tokenizers, special=special)
        provenance = None
        if (checkpoint.folder / PROVENANCE).is_file():
            provenance = Provenance.from_json(read_json(checkpoint.folder / PROVENANCE))
        model = load_model(composition, checkpoint)
        loaded = cls(
            model,
            tokenizers,
            composition,
            generation=generation,
            constraints=read_constraints(settings),
            provenance=provenance,
        )
        return loaded.to(device or default_device(), dtype)

    def save_pretrained(
        self, folder: str | os.PathLike[str], *, duplicate_shared: bool = False
    ) -> None:
        """Writes a model folder in the ecosystem's format, complete or not at all.

        Args:
            folder: new, empty, or a model folder, which is replaced.
            duplicate_shared: whether shared tensors are written under both of their names, for
                readers without weight sharing such as transformers 5. Default: once.

        Raises:
            OutputError: if the folder holds something else or cannot be written.
        """
        with replace_folder(Path(folder)) as partial:
            special = asdict(self.tokenizers.special)
            two = self.tokenizers.source is not self.tokenizers.target
            save_model(
                self.model,
                self.composition,
                partial,
                special=special,
                two_tokenizers=two,
                duplicate_shared=duplicate_shared,
            )
            self.tokenizers.save(partial)
            _write_json(
                partial / GENERATION,
                write_generation(self.generation, self.tokenizers.special, self.constraints),
            )
            if self.provenance is not None:
                _write_json(partial / PROVENANCE, self.provenance.to_json())
            (partial / "README.md").write_text(
                model_card(self.composition, self.provenance), encoding="utf-8"
            )

    def generate(
        self,
        texts: Sequence[str],
        *,
        batch_size: int = 32,
        max_source_length: int | None = None,
        prefix: str | Sequence[str] | None = None,
        choices: Sequence[str] | None = None,
        options: GenerationOptions | None = None,
        **overrides: Unpack[GenerationOverrides],
    ) -> list[str]:
        """Writes an output for each text, in order.

        Sources longer than the positions allow are cut, with one warning that counts them.

        Args:
            texts: the sources.
            batch_size: texts decoded side by side; texts of like length go together.
            max_source_length: tokens, if sources are to be cut below what the positions allow.
            prefix: what each output begins with, a text for all or one for each; end it with a
                whole word and without a space.
            choices: the outputs that are allowed. Default: any.
            options: decoding settings; default: `generation`.
            **overrides: single settings to change, such as ``num_beams=4``.

        Returns:
            `num_return_sequences` outputs of the first text, best first, then of the second, and
            so on. An output is empty if there are not as many.

        Raises:
            UsageError: if a setting is unknown or not allowed, or contradicts another.
        """
        settings = self._settings(options, overrides)
        outputs = [[""] * settings.num_return_sequences for _ in texts]
        for index, found, _ in self._decode(
            texts, batch_size, max_source_length, prefix, choices, settings
        ):
            outputs[index] = self.tokenizers.decode([output.tokens for output in found])
        return [output for of_text in outputs for output in of_text]

    def generate_detailed(
        self,
        texts: Sequence[str],
        *,
        batch_size: int = 32,
        max_source_length: int | None = None,
        prefix: str | Sequence[str] | None = None,
        choices: Sequence[str] | None = None,
        alignments: AlignmentLayers | None = None,
        options: GenerationOptions | None = None,
        **overrides: Unpack[GenerationOverrides],
    ) -> list[list[Generated]]:
        """Like `generate`, but gives tokens, scores and alignments, too.

        Args:
            texts: the sources.
            batch_size: see `generate`.
            max_source_length: see `generate`.
            prefix: see `generate`.
            choices: see `generate`.
            alignments: "mean" (over heads and layers) or "last" (over the last layer's heads):
                which cross-attention tells the source tokens that an output token came from.
                Default: none.
            options: see `generate`.
            **overrides: see `generate`.

        Returns:
            The outputs of each text, best first.

        Raises:
            UsageError: as `generate`; and if the model has no cross-attention to align by.
        """
        settings = self._settings(options, overrides)
        if alignments not in (None, "mean", "last"):
            raise UsageError(f"alignments is {alignments!r}; allowed are 'mean' and 'last'.")
        if alignments is not None and self.model.encoder is None:
            raise UsageError(
                "The model has no encoder, so there is no cross-attention to align by; leave "
                "alignments out."
            )
        outputs: list[list[Generated]] = [[] for _ in texts]
        for index, found, row in self._decode(
            texts, batch_size, max_source_length, prefix, choices, settings, scored=True
        ):
            aligned: list[Alignment | None] = [None] * len(found)
            if alignments is not None:
                aligned = self._align(texts[index], row, found, alignments)
            outputs[index] = [
                Generated(
                    text=self.tokenizers.decode([output.tokens])[0],
                    tokens=tuple(output.tokens),
                    score=output.score,
                    token_scores=tuple(output.token_scores),
                    at_limit=self._at_limit(output.tokens, settings),
                    alignment=alignment,
                )
                for output, alignment in zip(found, aligned, strict=True)
            ]
        return outputs

    def generate_each(
        self,
        texts: Sequence[str],
        *,
        batch_size: int = 32,
        max_source_length: int | None = None,
        prefix: str | Sequence[str] | None = None,
        choices: Sequence[str] | None = None,
        options: GenerationOptions | None = None,
        **overrides: Unpack[GenerationOverrides],
    ) -> Iterator[tuple[int, str]]:
        """Like `generate`, but gives (index, output) as batches finish, the longest first.

        It is the first output, if there are several of a text.
        """
        for index, tokens, _ in self.generate_tokens(
            texts,
            batch_size=batch_size,
            max_source_length=max_source_length,
            prefix=prefix,
            choices=choices,
            options=options,
            **overrides,
        ):
            yield index, self.tokenizers.decode([tokens])[0]

    def generate_tokens(
        self,
        texts: Sequence[str],
        *,
        batch_size: int = 32,
        max_source_length: int | None = None,
        prefix: str | Sequence[str] | None = None,
        choices: Sequence[str] | None = None,
        options: GenerationOptions | None = None,
        **overrides: Unpack[GenerationOverrides],
    ) -> Iterator[tuple[int, list[int], bool]]:
        """Like `generate_each`, but gives (index, token ids, whether they hit the length limit).

        The token ids are those behind the start token, up to the end token.
        """
        settings = replace(self._settings(options, overrides), num_return_sequences=1)
        for index, found, _ in self._decode(
            texts, batch_size, max_source_length, prefix, choices, settings
        ):
            tokens = found[0].tokens
            yield index, tokens, self._at_limit(tokens, settings)

    def _decode(
        self,
        texts: Sequence[str],
        batch_size: int,
        max_source_length: int | None,
        prefix: str | Sequence[str] | None,
        choices: Sequence[str] | None,
        settings: GenerationOptions,
        *,
        scored: bool = False,
    ) -> Iterator[tuple[int, list[Hypothesis], list[int]]]:
        """Outputs of each text with its index and its tokens, as batches finish."""
        if isinstance(texts, str):
            raise UsageError("generate takes a list of texts, not one text; put it in brackets.")
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; it must be 1 or more.")
        _check_texts(texts, "Text")
        prefixes = self._prefixes(prefix, len(texts), settings)
        allowed = self._choices(choices, settings, prefix=prefix is not None)
        rows = self.encode_sources(texts, max_source_length)
        order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            source = Sequences.of([rows[index] for index in batch], self.device)
            guide = Guide(
                prefixes=[prefixes[index] for index in batch] if prefixes else (),
                source_rows=self._as_targets(batch, texts, rows)
                if settings.encoder_no_repeat_ngram_size
                else (),
                choices=allowed,
            )
            found = search_all(
                self.model,
                source,
                self.tokenizers.special,
                settings,
                self.constraints,
                guide,
                scored=scored,
            )
            for index, outputs in zip(batch, found, strict=True):
                yield index, outputs, rows[index]

    def _at_limit(self, tokens: Sequence[int], settings: GenerationOptions) -> bool:
        """Whether the limit ended an output. An end token does before, unless it is forced."""
        forced = self.constraints.forced_eos_token_id is not None
        return self.tokenizers.special.end not in tokens or (
            forced and len(tokens) >= settings.max_length - 1
        )

    def _prefixes(
        self, prefix: str | Sequence[str] | None, texts: int, settings: GenerationOptions
    ) -> list[list[int]]:
        """Tokens that each output begins with."""
        if prefix is None:
            return []
        given = [prefix] * texts if isinstance(prefix, str) else list(prefix)
        if len(given) != texts:
            raise UsageError(
                f"There are {len(given)} prefixes for {texts} texts; give one for each, or a "
                "single text for all."
            )
        _check_texts(given, "Prefix")
        room, end = settings.max_length - 2, self.tokenizers.special.end
        rows = [row[:-1] for row in self.tokenizers.encode_targets(given, None).rows]
        for place, (text, row) in enumerate(zip(given, rows, strict=True), start=1):
            if not text:
                row.clear()
            if len(row) > room:
                raise UsageError(
                    f"Prefix {place} has {len(row)} tokens, but max_length is "
                    f"{settings.max_length}, which with the start token and one token to write "
                    f"leaves room for {room}; shorten it or raise max_length."
                )
            if end in row:
                raise UsageError(
                    f"Prefix {place} holds the end token, so nothing could follow; take it out."
                )
        _check_ids(rows, self.model.config.decoder.embedding.vocabulary, self.tokenizers.target)
        return rows

    def _choices(
        self, choices: Sequence[str] | None, settings: GenerationOptions, *, prefix: bool
    ) -> Trie | None:
        """The tree of the outputs that are allowed."""
        if choices is None:
            return None
        if isinstance(choices, str) or not choices:
            raise UsageError("choices takes a list of the texts that are allowed, at least one.")
        if prefix:
            raise UsageError(
                "prefix and choices are both given; give the choices that begin with the prefix."
            )
        _check_texts(choices, "Choice")
        rows = self.tokenizers.encode_targets(choices, None).rows
        vocabulary = self.model.config.decoder.embedding.vocabulary
        _check_ids(rows, vocabulary, self.tokenizers.target)
        for place, row in enumerate(rows, start=1):
            if len(row) > settings.max_length - 1:
                raise UsageError(
                    f"Choice {place} has {len(row)} tokens with its end, but max_length is "
                    f"{settings.max_length}, start token included; raise it or leave the choice "
                    "out."
                )
        return Trie(rows, self.tokenizers.special.end, vocabulary)

    def _as_targets(
        self, batch: Sequence[int], texts: Sequence[str], rows: Sequence[list[int]]
    ) -> list[list[int]]:
        """Sources in the target's vocabulary."""
        if self.tokenizers.source is self.tokenizers.target:
            return [rows[index] for index in batch]
        written = self.tokenizers.encode_targets([texts[index] for index in batch], None).rows
        return [row[len(self.tokenizers.target_start) : -1] for row in written]

    def _align(
        self, text: str, row: list[int], found: Sequence[Hypothesis], layers: AlignmentLayers
    ) -> list[Alignment | None]:
        """Where the tokens of a text's outputs came from."""
        outputs = [output.tokens for output in found if output.tokens]
        source = Sequences.of([row] * len(outputs), self.device)
        weights = iter(
            cross_attention_weights(
                self.model, source, outputs, self.tokenizers.special.start, layers
            )
            if outputs
            else ()
        )
        spans: list[tuple[int, int]] = []
        if self.tokenizers.source.is_fast:
            encoded = self.tokenizers.source(
                text,
                truncation=True,
                max_length=len(row),
                return_offsets_mapping=True,
                verbose=False,
            )
            # An empty text may have got a token of its own.
            spans = encoded["offset_mapping"] if list(encoded["input_ids"]) == row else []
        return [
            Alignment(
                weights=next(weights).cpu(),
                target_tokens=tuple(self.tokenizers.target.convert_ids_to_tokens(output.tokens)),
                source_tokens=tuple(self.tokenizers.source.convert_ids_to_tokens(row)),
                source_spans=tuple((first, behind) for first, behind in spans),
            )
            if output.tokens
            else None
            for output in found
        ]

    def encode_sources(
        self, texts: Sequence[str], max_length: int | None = None
    ) -> list[list[int]]:
        """Token ids of sources, cut to what the model can read, with a warning that counts.

        Args:
            texts: the sources.
            max_length: tokens, if less than the positions allow.
        """
        limit = shorter(max_length, self.source_limit)
        encoded = self.tokenizers.encode_sources(texts, limit)
        if encoded.truncated:
            logger.warning(
                "%d of %d sources are longer than %d tokens and were cut.",
                encoded.truncated,
                len(texts),
                limit,
            )
        config = self.model.config
        stack = config.decoder if config.encoder is None else config.encoder
        _check_ids(encoded.rows, stack.embedding.vocabulary, self.tokenizers.source)
        return encoded.rows

    def encode_targets(
        self, texts: Sequence[str], max_length: int | None = None
    ) -> list[list[int]]:
        """Token ids of targets up to their end token, cut likewise, with a warning that counts."""
        limit = shorter(max_length, self.target_limit)
        encoded = self.tokenizers.encode_targets(texts, limit)
        if encoded.truncated:
            logger.warning(
                "%d of %d targets are longer than %d tokens and were cut.",
                encoded.truncated,
                len(texts),
                limit,
            )
        rows = self.model.config.decoder.embedding.vocabulary
        _check_ids(encoded.rows, rows, self.tokenizers.target)
        return encoded.rows

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> "Seq2Seq":
        """Moves the model, in place."""
        self.model.to(device, dtype)
        return self

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.decoder.embedding.word.weight.device

    @property
    def source_limit(self) -> int | None:
        """The longest source in tokens that the positions allow; None: any."""
        config = self.model.config
        if config.encoder is not None:
            return config.encoder.position_limit
        # The source is a prefix: half of the positions are left for the target.
        limit = config.decoder.position_limit
        return None if limit is None else limit // 2

    @property
    def target_limit(self) -> int | None:
        """The longest target in tokens that the positions allow; None: any."""
        limit = self.model.config.decoder.position_limit
        if limit is None or self.model.config.encoder is not None:
            return limit
        return limit - limit // 2

    def _settings(
        self, options: GenerationOptions | None, overrides: GenerationOverrides
    ) -> GenerationOptions:
        allowed = GenerationOptions.__dataclass_fields__
        for name in overrides:
            if name not in allowed:
                raise UsageError(
                    f"There is no decoding setting '{name}'; {did_you_mean(name, allowed)}"
                )
        settings = replace(options or self.generation, **overrides)
        unheard = [name for name in SAMPLING if name in overrides]
        if unheard and not settings.do_sample:
            raise UsageError(
                f"{unheard[0]} is given, which only sampling looks at, but do_sample is not set; "
                "set it, or leave the other out."
            )
        limit = self.target_limit
        if limit is not None and settings.max_length > limit:
            settings = replace(
                settings, max_length=limit, min_length=min(settings.min_length, limit)
            )
        return settings


def default_device() -> str:
    """A GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def shorter(a: int | None, b: int | None) -> int | None:
    """The smaller of two limits, where None is no limit."""
    limits = [limit for limit in (a, b) if limit is not None]
    return min(limits) if limits else None


def _check_vocabulary(model: Seq2Seq) -> None:
    """A tokenizer must not make ids that the model has no vector for.

    Special tokens may be without one (Gemma 3's text models lack the image's): no text has them.
    """
    config, pair = model.model.config, model.tokenizers
    source = config.decoder if config.encoder is None else config.encoder
    for whose, tokenizer, rows in (
        ("source", pair.source, source.embedding.vocabulary),
        ("target", pair.target, config.decoder.embedding.vocabulary),
    ):
        beyond = tokens_beyond(tokenizer, rows)
        if not all(special for _, special in beyond.values()):
            raise CompositionError(
                f"The {whose} tokenizer has {len(tokenizer)} tokens, but the {whose} embedding "
                f"only {rows} rows; the tokenizer belongs to another checkpoint."
            )
    for role, token in asdict(pair.special).items():
        rows = config.decoder.embedding.vocabulary
        if not 0 <= token < rows:
            raise CompositionError(
                f"The target's {role} token is {token}, but the target embedding has {rows} rows; "
                f"correct it in {GENERATION} or in the tokenizer."
            )


def _check_texts(texts: Sequence[str], what: str) -> None:
    """Texts must be text, which half a pair of surrogates is not."""
    for place, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise UsageError(f"{what} {place} is {text!r:.80}, which is no text; give a str.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            raise UsageError(
                f"{what} {place} has the lone surrogate U+{code:04X} at character "
                f"{error.start + 1}, which is half a character; read the text as UTF-8, or take "
                "it out."
            ) from None


def _check_ids(
    rows: Sequence[Sequence[int]], known: int, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Texts may hold a token by its name that the model has no vector for."""
    if len(tokenizer) <= known:
        return
    for place, row in enumerate(rows, start=1):
        token = next((token for token in row if token >= known), None)
        if token is not None:
            raise UsageError(
                f"Text {place} holds the token {tokenizer.convert_ids_to_tokens(token)}, for which "
                "the model has no vector; take it out of the text."
            )


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
