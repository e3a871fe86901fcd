"""What a user holds: a model with its tokenizers. Text in, text out."""

import json
import logging
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch

from warmstart.checkpoint.files import Checkpoint, atomic_model_folder, open_checkpoint
from warmstart.composition.blueprint import Blueprint, of_checkpoints, of_variant
from warmstart.composition.compose import compose, outline
from warmstart.composition.composition import Composition
from warmstart.composition.composition_options import CompositionOptions
from warmstart.composition.half import Source
from warmstart.composition.model_folder import open_model_folder
from warmstart.composition.provenance import PROVENANCE, Provenance
from warmstart.composition.saved_model import open_model, save_model
from warmstart.composition.variants import VariantOptions
from warmstart.decoding.decoder import Decoder
from warmstart.decoding.request import RequestOptions, resolve_request
from warmstart.errors import CompositionError, UsageError
from warmstart.generation.config import Constraints, GenerationConfig
from warmstart.generation.result import Generated
from warmstart.generation.saved import FILE as GENERATION
from warmstart.generation.saved import (
    read_constraints,
    read_generation,
    saved_settings,
    warn_of_unknown,
    write_generation,
)
from warmstart.hub.card import CardFacts, base_of, read_card, write_card
from warmstart.hub.push import check_push, push_folder
from warmstart.inference.convert import convert, require_full_precision
from warmstart.keywords import changes, options
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.literals import Compile, Dtype
from warmstart.text.checks import check_ids
from warmstart.text.long_sources import tighter_limit
from warmstart.text.tokenizer_pair import TokenizerPair, tokens_beyond

__all__ = ["Seq2Seq"]

logger = logging.getLogger(__name__)


class Seq2Seq:
    """A sequence-to-sequence model with its tokenizers.

    Make one with `warm_start`, `from_variant` or `from_pretrained`.

    Attributes:
        model: the encoder-decoder, a torch module.
        tokenizers: of source and target, and the target's special tokens.
        composition: what it is made of.
        generation: decoding defaults, saved with the model.
        constraints: rules for every output, whatever the decoding settings.
        provenance: where every tensor came from when it was composed; None if unknown.
        card: further facts for its model card: checkpoints, training, scores.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        tokenizers: TokenizerPair,
        composition: Composition,
        *,
        generation: GenerationConfig | None = None,
        constraints: Constraints | None = None,
        provenance: Provenance | None = None,
        card: CardFacts | None = None,
    ) -> None:
        self.model = model
        self.tokenizers = tokenizers
        self.composition = composition
        self.generation = generation or GenerationConfig()
        self.constraints = constraints or Constraints()
        self.provenance = provenance
        self.card = card or CardFacts()
        _check_vocabulary(self)

    @classmethod
    @options(CompositionOptions)
    def warm_start(cls, options: CompositionOptions) -> "Seq2Seq":
        """Composes two pre-trained checkpoints: ``Seq2Seq.warm_start("a/bert", "b/gpt2")``.

        Args:
            options: its fields, as keywords; the two checkpoints may be positional.

        Raises:
            CheckpointError: if a checkpoint cannot be found or read, or does not fit its config.
            CompositionError: if the two cannot be joined as asked.
            UsageError: if an option is not allowed.
        """
        return cls.from_blueprint(of_checkpoints(options), seed=options.seed)

    @classmethod
    @options(VariantOptions)
    def from_variant(cls, options: VariantOptions) -> "Seq2Seq":
        """Composes one of the paper's models by its name: ``Seq2Seq.from_variant("bertShare")``.

        Args:
            options: its fields, as keywords; the name may be positional.

        Raises:
            UsageError: if there is no such variant or kind of checkpoint.
            CheckpointError: see `warm_start`.
            CompositionError: see `warm_start`.
        """
        return cls.from_blueprint(of_variant(options), seed=options.seed)

    @classmethod
    def from_blueprint(
        cls, blueprint: Blueprint, *, seed: int = 0, weights: bool = True
    ) -> "Seq2Seq":
        """Composes what a blueprint describes.

        Args:
            blueprint: see `warmstart.composition.blueprint`.
            seed: of the random tensors.
            weights: False: reads none, and leaves the model on the meta device.
        """
        if not weights:
            outlined = outline(blueprint.composition)
            return cls(
                outlined,
                blueprint.tokenizers,
                blueprint.composition,
                provenance=blueprint.provenance(),
                card=_card_of(blueprint),
            )
        model, provenance = compose(
            blueprint.composition, blueprint.encoder, blueprint.decoder, seed=seed
        )
        return cls(
            model,
            blueprint.tokenizers,
            blueprint.composition,
            provenance=provenance,
            card=_card_of(blueprint),
        )

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        device: str | torch.device | None = None,
        dtype: Dtype | torch.dtype = "float32",
        compile: Compile = "no",
        weights: bool = True,
    ) -> "Seq2Seq":
        """Loads a model folder: one of ours, or one that transformers saved.

        A pre-trained encoder-decoder (T5, BART, Marian, T5Gemma) is loaded whole.

        Args:
            name: a folder or hub id.
            device: default: a GPU if there is one, else the CPU.
            dtype: of the weights: "float32", "bfloat16", "float16", "int8" or "float8", or a type
                of torch. On a CPU "float16" and "int8" are for decoding alone, on a GPU "float8".
            compile: whether decoding compiles its steps, on a CPU and not in bfloat16:
                "background" does so while it decodes as without, which takes a minute or two;
                "wait" waits for them; "no" does not. What was compiled stays in the cache folder.
                On a GPU "background" and "wait" record the steps as a CUDA graph.
            weights: False: reads their names and shapes only, and leaves the model on the meta
                device.

        Raises:
            CheckpointError: if the folder cannot be read, lacks a tokenizer, or does not fit
                its config.
            UsageError: if there is no such dtype, or not on this machine; or if steps of such a
                model are not compiled.
        """
        folder = open_model_folder(open_checkpoint(name))
        checkpoint, composition = folder.checkpoint, folder.composition
        tokenizers = folder.tokenizers()
        settings = saved_settings(checkpoint, composition)
        warn_of_unknown(settings, checkpoint.name)
        generation, special = read_generation(settings, tokenizers.special)
        tokenizers = replace(tokenizers, special=special)
        saved = open_model(composition, checkpoint)
        model = saved.outline
        if weights:
            model = convert(model, device or default_device(), dtype, compile, value=saved.value)
        return cls(
            model,
            tokenizers,
            composition,
            generation=generation,
            constraints=read_constraints(settings),
            provenance=folder.provenance(),
            card=read_card(checkpoint.folder) or CardFacts(bases=(base_of(checkpoint, "model"),)),
        )

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
            UsageError: if the weights were rounded for decoding when they were loaded.
        """
        require_full_precision(self.model, "saved")
        with atomic_model_folder(Path(folder)) as partial:
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
            self.write_card(partial)

    def write_card(self, folder: str | os.PathLike[str], *, name: str = "this/folder") -> None:
        """Writes the model card of a saved model anew, and leaves the rest of it as it is.

        Args:
            folder: of the model.
            name: by which the card shows how to load it.
        """
        write_card(Path(folder), self.card, self.composition, self.provenance, name=name)

    def push_to_hub(self, repo_id: str, *, private: bool | None = None) -> str:
        """Saves the model and uploads it to the hub, making the repository if it is not there.

        Args:
            repo_id: ``NAME`` or ``OWNER/NAME``.
            private: whether a new repository is private; default: as the owner has set it.

        Returns:
            Where it is on the hub.

        Raises:
            OutputError: if the hub is switched off, cannot be reached, or refuses.
            UsageError: if it is no hub id, or there is no token.
        """
        check_push(repo_id)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            self.save_pretrained(folder)
            self.write_card(folder, name=repo_id)
            return push_folder(folder, repo_id, private=private)

    @changes(RequestOptions)
    def generate(self, texts: Iterable[str], changed: Mapping[str, Any]) -> list[str]:
        """Decodes each text, in order.

        Args:
            texts: the sources; an iterable that is no sequence is read 32 batches at a time.
            changed: see `RequestOptions`; settings that are left out are those of `generation`.

        Returns:
            `num_return_sequences` outputs of the first text, best first, then of the second, and
            so on; empty texts where a beam search has fewer.

        Raises:
            UsageError: if an option is unknown or not allowed, or contradicts another.
        """
        found = dict(self._decoder.generate(texts, self._request(changed, text_only=True)))
        return [output.text for index in range(len(found)) for output in found[index]]

    @changes(RequestOptions)
    def generate_detailed(
        self, texts: Iterable[str], changed: Mapping[str, Any]
    ) -> list[list[Generated]]:
        """Like `generate`, with tokens, scores and alignments.

        Args:
            texts: see `generate`.
            changed: see `RequestOptions`.

        Returns:
            The outputs of each text, best first.

        Raises:
            UsageError: as `generate`; and if the model has no cross-attention to align by.
        """
        request = self._request({**changed, "scores": True})
        found = dict(self._decoder.generate(texts, request))
        return [found[index] for index in range(len(found))]

    @changes(RequestOptions)
    def generate_each(
        self, texts: Iterable[str], changed: Mapping[str, Any]
    ) -> Iterator[tuple[int, list[Generated]]]:
        """Like `generate_detailed`, but gives (index, outputs) as batches finish.

        The longest texts come first; of an iterable that is no sequence, the longest of 32 batches.
        Outputs have scores only with ``scores=True``. Truncated sources are not logged:
        `Generated.source_cut` marks them.

        Args:
            texts: see `generate`.
            changed: see `RequestOptions`.
        """
        return self._decoder.generate(texts, self._request(changed), warn=False)

    @changes(RequestOptions)
    def stream(self, text: str, changed: Mapping[str, Any]) -> Generator[str, None, None]:
        """Yields the output for one text in pieces while it is written: greedy or a sample.

        Together the pieces are exactly what `generate` gives. A piece comes as soon as no later
        token can change it, one token late. Closing the iterator stops the search.

        Args:
            text: the source.
            changed: see `RequestOptions`; outputs of a long source's chunks follow each other.

        Raises:
            UsageError: as `generate`; and if there are beams or several outputs.
        """
        return self._decoder.stream(text, self._request(changed, text_only=True))

    @changes(RequestOptions)
    def generate_tokens(
        self, texts: Sequence[str], changed: Mapping[str, Any]
    ) -> Iterator[tuple[int, list[int], bool]]:
        """Yields (index, token ids, whether they hit the length limit) as batches finish.

        Of the first output, if there are several, and of truncated sources. The token ids start
        after the start token and include the end token.

        Args:
            texts: the sources.
            changed: see `RequestOptions`.
        """
        request = self._request(changed)
        return self._decoder.tokens(texts, replace(request, num_return_sequences=1))

    def encode_sources(
        self, texts: Sequence[str], max_length: int | None = None
    ) -> list[list[int]]:
        """Token ids of sources, truncated to the model's positions, with a warning that counts.

        Args:
            texts: the sources.
            max_length: tokens, if less than the positions allow.
        """
        return self._decoder.encode_sources(texts, max_length).rows

    def encode_targets(
        self, texts: Sequence[str], max_length: int | None = None
    ) -> list[list[int]]:
        """Token ids of targets up to their end token, truncated, with a warning that counts."""
        limit = tighter_limit(max_length, self.target_limit)
        encoded = self.tokenizers.encode_targets(texts, limit)
        if encoded.truncated:
            logger.warning(
                "%d of %d targets are longer than %d tokens and were truncated.",
                encoded.truncated,
                len(texts),
                limit,
            )
        rows = self.model.config.decoder.embedding.vocabulary
        check_ids(encoded.rows, rows, self.tokenizers.target)
        return encoded.rows

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> "Seq2Seq":
        """Moves the model, in place.

        Raises:
            UsageError: if its weights were rounded for decoding when it was loaded.
        """
        require_full_precision(self.model, "moved")
        self.model.to(device, dtype)
        return self

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def source_limit(self) -> int | None:
        """The longest source in tokens that the positions allow; None: any."""
        return self.model.source_limit

    @property
    def target_limit(self) -> int | None:
        """The longest target in tokens that the positions allow; None: any."""
        return self.model.target_limit

    @property
    def _decoder(self) -> Decoder:
        return Decoder(self.model, self.tokenizers)

    def _request(self, changed: Mapping[str, Any], *, text_only: bool = False) -> RequestOptions:
        """A request with the model's own settings where a call gives none."""
        for name in ("scores", "alignments"):
            if text_only and changed.get(name):
                raise UsageError(
                    f"{name} is given, but the outputs are texts alone; use generate_detailed."
                )
        return resolve_request(changed, self.generation, self.constraints, self.target_limit)


def _card_of(blueprint: Blueprint) -> CardFacts:
    """The checkpoints that a model begins as; one that is both halves twice."""
    halves: tuple[tuple[Literal["encoder", "decoder"], Source | None], ...] = (
        ("encoder", blueprint.encoder),
        ("decoder", blueprint.decoder),
    )
    return CardFacts(
        bases=tuple(
            base_of(source.checkpoint, role)
            for role, source in halves
            if source is not None and isinstance(source.checkpoint, Checkpoint)
        )
    )


def default_device() -> str:
    """A GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


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


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
