"""A model with its tokenizers: text in, text out."""

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
from warmstart.errors import UsageError
from warmstart.generation.generation_config import Constraints, GenerationConfig
from warmstart.generation.literals import Detokenize
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
from warmstart.model.device import choose_device
from warmstart.model.device import default_device as default_device  # users import it here
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.loading_types import Compile, Dtype
from warmstart.text.checks import check_ids, check_vocabularies
from warmstart.text.detokenize import can_detokenize
from warmstart.text.long_sources import tighter_limit
from warmstart.text.tokenizer_pair import TokenizerPair

__all__ = ["Seq2Seq"]

logger = logging.getLogger(__name__)


class Seq2Seq:
    """A sequence-to-sequence model with its tokenizers.

    Make one with `warm_start`, `from_variant` or `from_pretrained`.

    Attributes:
        model: the encoder-decoder, a torch module.
        tokenizers: of source and target, and the target's special tokens.
        composition: its two halves and how they are joined.
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
        source = model.config.decoder if model.config.encoder is None else model.config.encoder
        target = model.config.decoder
        check_vocabularies(tokenizers, source.embedding.vocabulary, target.embedding.vocabulary)

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
        """Composes the model of a blueprint.

        Args:
            blueprint: see `warmstart.composition.blueprint`.
            seed: of the random tensors.
            weights: whether to read them; if not, the model stays on the meta device.
        """
        composition = blueprint.composition
        if weights:
            model, provenance = compose(
                composition, blueprint.encoder, blueprint.decoder, seed=seed
            )
        else:
            model, provenance = outline(composition), blueprint.provenance()
        return cls(
            model,
            blueprint.tokenizers,
            composition,
            generation=GenerationConfig(detokenize=_detokenized(blueprint.tokenizers)),
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
        """Loads a model folder of warmstart or transformers, or a pre-trained encoder-decoder.

        Args:
            name: a folder or hub id.
            device: "cpu", "cuda", "cuda:1" or "mps"; default: a CUDA GPU, or without one the CPU.
            dtype: of the weights, see `Dtype`, or a type of torch. On a CPU "float16" and "int8"
                are for decoding only, on a GPU "float8".
            compile: whether decoding compiles its steps, on a CPU and not in bfloat16:
                "background" while it decodes without them, which takes a minute or two; "wait"
                before it decodes; "no" never. Compiled steps stay in the cache folder. On a GPU
                "background" and "wait" record the steps as a CUDA graph.
            weights: whether to read them; if not, the model stays on the meta device.

        Raises:
            CheckpointError: if the folder cannot be read, lacks a tokenizer, or does not fit
                its config.
            UsageError: if the device or dtype is unknown or not available on this machine; or if
                steps of such a model are not compiled.
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
            model = convert(model, choose_device(device), dtype, compile, value=saved.value)
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
            duplicate_shared: whether to write all shared tensors under both of their names, and no
                sharing into the config, for readers without weight sharing such as transformers 5.
                Default: once, except where halves share everything and transformers could load
                the folder, with a random encoder.

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
        """Rewrites the model card of a saved model, and leaves its other files unchanged.

        Args:
            folder: of the model.
            name: of the model in the card's example.
        """
        write_card(Path(folder), self.card, self.composition, self.provenance, name=name)

    def push_to_hub(self, repo_id: str, *, private: bool | None = None) -> str:
        """Saves the model and uploads it to the hub, where it creates the repository if needed.

        Args:
            repo_id: ``NAME`` or ``OWNER/NAME``.
            private: whether a new repository is private; default: the owner's setting.

        Returns:
            Its address on the hub.

        Raises:
            OutputError: if the hub is switched off, cannot be reached, or refuses.
            UsageError: if the id is invalid, or there is no token.
        """
        check_push(repo_id)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            self.save_pretrained(folder)
            self.write_card(folder, name=repo_id)
            return push_folder(folder, repo_id, private=private)

    @changes(RequestOptions)
    def generate(self, texts: Iterable[str], options: Mapping[str, Any]) -> list[str]:
        """Decodes each text, in order.

        Args:
            texts: the sources; an iterable that is no sequence is read 32 batches at a time.
            options: fields of `RequestOptions`, as keywords; those left out are the model's own.

        Returns:
            `num_return_sequences` outputs of the first text, best first, then of the second, and
            so on; empty texts where a beam search has fewer.

        Raises:
            UsageError: if an option is unknown or not allowed, or contradicts another.
        """
        outputs = dict(self._decoder.generate(texts, self._request(options, text_only=True)))
        return [output.text for index in range(len(outputs)) for output in outputs[index]]

    @changes(RequestOptions)
    def generate_detailed(
        self, texts: Iterable[str], options: Mapping[str, Any]
    ) -> list[list[Generated]]:
        """Like `generate`, with tokens, scores and alignments.

        Args:
            texts: see `generate`.
            options: see `generate`.

        Returns:
            The outputs of each text, best first.

        Raises:
            UsageError: as `generate`; and if the model has no cross-attention to align by.
        """
        request = self._request({**options, "scores": True})
        outputs = dict(self._decoder.generate(texts, request))
        return [outputs[index] for index in range(len(outputs))]

    @changes(RequestOptions)
    def generate_each(
        self, texts: Iterable[str], options: Mapping[str, Any]
    ) -> Iterator[tuple[int, list[Generated]]]:
        """Like `generate_detailed`, but gives (index, outputs) as batches finish.

        The longest texts come first; of an iterable that is no sequence, the longest of 32 batches.
        Outputs have scores only with ``scores=True``. Truncated sources are not logged:
        `Generated.source_cut` marks them.

        Args:
            texts: see `generate`.
            options: see `generate`.
        """
        return self._decoder.generate(texts, self._request(options), warn=False)

    @changes(RequestOptions)
    def stream(self, text: str, options: Mapping[str, Any]) -> Generator[str, None, None]:
        """Yields the output for one text in pieces while it is written: greedy or a sample.

        Together the pieces are exactly what `generate` gives with ``detokenize="none"``: only whole
        outputs are detokenized. A piece comes as soon as no later token can change it, one token
        late. Closing the iterator stops the search.

        Args:
            text: the source.
            options: see `generate`; outputs of a long source's chunks follow each other.

        Raises:
            UsageError: as `generate`; and if there are beams or several outputs.
        """
        return self._decoder.stream(text, self._request(options, text_only=True))

    @changes(RequestOptions)
    def generate_first(
        self, texts: Sequence[str], options: Mapping[str, Any]
    ) -> Iterator[tuple[int, Generated]]:
        """Yields (index, the first output) as batches finish; truncated sources are logged.

        Args:
            texts: the sources.
            options: see `generate`.
        """
        request = replace(self._request(options), num_return_sequences=1)
        for index, (output,) in self._decoder.generate(texts, request):
            yield index, output

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
        """The model's device."""
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

    def _request(self, options: Mapping[str, Any], *, text_only: bool = False) -> RequestOptions:
        """A request with the model's own settings for options that are not given."""
        for name in ("scores", "alignments"):
            if text_only and options.get(name):
                raise UsageError(
                    f"{name} is given, but the outputs are texts alone; use generate_detailed."
                )
        return resolve_request(options, self.generation, self.constraints, self.target_limit)


def _detokenized(tokenizers: TokenizerPair) -> Detokenize | None:
    """The setting of a new model; None where the target tokenizer needs none."""
    return "auto" if can_detokenize(tokenizers.target) else None


def _card_of(blueprint: Blueprint) -> CardFacts:
    """The checkpoints of the two halves; one checkpoint twice if it is both."""
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


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
