"""From texts to outputs: decoding requests by a model with its tokenizers."""

import logging
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import torch

from warmstart.constrained.trie import Trie
from warmstart.decoding.allowed_outputs import (
    chosen_outputs,
    matching_outputs,
    without_missing_tokens,
)
from warmstart.decoding.output import Decoded, align, join_chunks
from warmstart.decoding.prefixes import prefix_rows
from warmstart.decoding.request import (
    BATCHES_AHEAD,
    RequestOptions,
    check_model,
    check_streamable,
)
from warmstart.errors import UsageError
from warmstart.generation.result import Alignment, Generated
from warmstart.generation.row_inputs import OutputAutomaton, RowInputs
from warmstart.generation.run_search import run_search
from warmstart.generation.search import Search
from warmstart.generation.speculative import why_not_speculative
from warmstart.generation.streaming import OnStep, iterate_steps
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.checks import check_ids, check_texts
from warmstart.text.detokenize import can_detokenize, detokenize
from warmstart.text.long_sources import (
    Chunks,
    check_limit,
    check_overlap,
    chunk_long,
    prefixes_per_chunk,
    refuse_long,
    tighter_limit,
)
from warmstart.text.pieces import TextPieces, joined_pieces
from warmstart.text.tokenizer_pair import Encoded, TokenizerPair

__all__ = ["Decoder"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decoder:
    """A model with its tokenizers."""

    model: EncoderDecoder
    tokenizers: TokenizerPair

    def generate(
        self, texts: Iterable[str], request: RequestOptions, *, warn: bool = True
    ) -> Iterator[tuple[int, list[Generated]]]:
        """Yields (index, outputs) of each text, as batches finish.

        An iterable that is no sequence is read 32 batches at a time, so that texts of similar
        length can be batched together.

        Args:
            texts: the sources.
            request: its options, resolved.
            warn: whether truncated sources are counted in the log.

        Raises:
            UsageError: if the request contradicts the model or the texts.
            TextError: if a text is invalid, or too long where that is an error.
        """
        if not isinstance(texts, Sequence):
            yield from self._generate_ahead(texts, request, warn=warn)
            return
        check_texts(texts, "Text")
        check_model(self.model, request)
        chunks, choices = self._chunks(texts, request), self._choices(request)
        request = replace(request, prefix=prefixes_per_chunk(request.prefix, chunks))
        waiting: dict[int, list[list[Generated] | None]] = {}
        for decoded in self._decode(chunks.texts, request, choices, warn=warn):
            owner = chunks.owners[decoded.index]
            first, count = chunks.span(owner)
            parts = waiting.setdefault(owner, [None] * count)
            text = chunks.texts[decoded.index]
            parts[decoded.index - first] = self._outputs(text, decoded, request, choices)
            complete = [part for part in parts if part is not None]
            if len(complete) == count:
                del waiting[owner]
                yield owner, join_chunks(complete)

    def _generate_ahead(
        self, texts: Iterable[str], request: RequestOptions, *, warn: bool
    ) -> Iterator[tuple[int, list[Generated]]]:
        anything: object = texts
        if not isinstance(anything, Iterable):
            raise UsageError(f"generate takes a list of texts, not {anything!r:.40}.")
        check_model(self.model, request)
        if not isinstance(request.prefix, str | None):
            raise UsageError(
                "prefix has a text for each of the texts, which are not in a list; give a list, or "
                "one prefix for all."
            )
        remaining, first = iter(texts), 0
        while some := list(islice(remaining, BATCHES_AHEAD * request.batch_size)):
            for index, outputs in self.generate(some, request, warn=warn):
                yield first + index, outputs
            first += len(some)

    def stream(self, text: str, request: RequestOptions) -> Generator[str, None, None]:
        """The output for one text in pieces, while it is written. Raises as `generate`."""
        # Speculative search writes the same tokens, several at a time.
        request = replace(request, draft="none")
        check_streamable(request)
        if not isinstance(text, str):
            raise UsageError("stream takes one text, not several; call it for each.")
        check_texts([text], "Text")
        check_model(self.model, request)
        if request.choices is not None:
            # The choice is known only with its last token, and is emitted as it was given.
            return (outputs[0].text for _, outputs in self.generate([text], request))
        chunks = self._chunks([text], request)
        prefixes = prefixes_per_chunk(request.prefix, chunks)
        if isinstance(prefixes, str) or prefixes is None:
            prefixes = [prefixes or ""] * len(chunks.texts)

        def search(chunk: str, prefix: str, on_step: OnStep) -> None:
            of_chunk = replace(request, prefix=prefix or None)
            for _ in self._decode([chunk], of_chunk, {}, on_step=on_step):
                pass

        return joined_pieces(
            TextPieces(lambda tokens: self.tokenizers.decode([tokens])[0]).of(
                tokens[0] for tokens in iterate_steps(partial(search, chunk, prefix))
            )
            for chunk, prefix in zip(chunks.texts, prefixes, strict=True)
        )

    def encode_sources(
        self, texts: Sequence[str], max_length: int | None, *, warn: bool = True
    ) -> Encoded:
        """Token ids of sources, truncated to what the model can read.

        Args:
            texts: the sources.
            max_length: tokens, if less than the positions allow.
            warn: whether truncated sources are counted in the log.
        """
        limit = self._source_limit(max_length)
        encoded = self.tokenizers.encode_sources(texts, limit)
        if encoded.cut and warn:
            logger.warning(
                "%d of %d sources are longer than %d tokens and were truncated.",
                encoded.truncated,
                len(texts),
                limit,
            )
        config = self.model.config
        stack = config.decoder if config.encoder is None else config.encoder
        check_ids(encoded.rows, stack.embedding.vocabulary, self.tokenizers.source)
        return encoded

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def _vocabulary(self) -> int:
        """Tokens that the model has a vector for."""
        return self.model.config.decoder.embedding.vocabulary

    def _source_limit(self, max_length: int | None) -> int | None:
        """The longest source in tokens; None: any."""
        if max_length is not None:
            check_limit(max_length, self.tokenizers.count_sources([""])[0])
        return tighter_limit(max_length, self.model.source_limit)

    def _chunks(self, texts: Sequence[str], request: RequestOptions) -> Chunks:
        """The texts; long ones in chunks if requested."""
        limit, count = self._source_limit(request.max_source_length), self.tokenizers.count_sources
        check_overlap(request.chunk_overlap, limit)
        if request.long == "chunk":
            return chunk_long(texts, limit, count, overlap=request.chunk_overlap)
        if request.long == "error":
            refuse_long(texts, limit, count)
        return Chunks(list(texts), list(range(len(texts))))

    def _decode(
        self,
        texts: Sequence[str],
        request: RequestOptions,
        choices: Mapping[tuple[int, ...], str],
        *,
        on_step: OnStep | None = None,
        warn: bool = True,
    ) -> Iterator[Decoded]:
        """Outputs of each text, as batches finish."""
        prefixes = prefix_rows(
            request.prefix, len(texts), request, self.tokenizers, self._vocabulary
        )
        automaton = self._automaton(request, choices, prefixes)
        encoded = self.encode_sources(texts, request.max_source_length, warn=warn)
        rows, cut = encoded.rows, {*encoded.cut}
        speculative = self._speculative(request, automaton)
        search = Search(
            model=self.model,
            special=self.tokenizers.special,
            config=request,
            constraints=without_missing_tokens(
                request.constraints, self.tokenizers.target, self._vocabulary
            ),
            scored=request.scores,
        )
        order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
        for start in range(0, len(order), request.batch_size):
            batch = order[start : start + request.batch_size]
            as_targets: list[list[int]] = []
            if speculative or request.encoder_no_repeat_ngram_size:
                as_targets = self._as_targets(batch, texts, rows)
            inputs = RowInputs(
                prefixes=[prefixes[index] for index in batch] if prefixes else (),
                source_rows=as_targets if request.encoder_no_repeat_ngram_size else (),
                draft_rows=[
                    # Roughly as much of the text as the model has read.
                    [*row[: 2 * len(rows[index])], self.tokenizers.special.end]
                    for index, row in zip(batch, as_targets, strict=True)
                ]
                if speculative
                else (),
                automaton=automaton,
                on_step=on_step,
            )
            source = Sequences.of([rows[index] for index in batch], self._device)
            for index, outputs in zip(batch, run_search(search, source, inputs), strict=True):
                yield Decoded(index, outputs, rows[index], index in cut)

    def _automaton(
        self,
        request: RequestOptions,
        choices: Collection[Sequence[int]],
        prefixes: Sequence[Sequence[int]],
    ) -> OutputAutomaton | None:
        """The outputs that choices or a regular expression allow; None: any."""
        if choices:
            return Trie(choices, self.tokenizers.special.end, self._vocabulary)
        if request.regex is None:
            return None
        return matching_outputs(
            request.regex,
            request,
            request.constraints,
            self.tokenizers,
            self._vocabulary,
            prefixes,
        )

    def _choices(self, request: RequestOptions) -> dict[tuple[int, ...], str]:
        """The allowed texts by their tokens; empty without choices."""
        return chosen_outputs(
            request.choices,
            request,
            request.constraints,
            self.tokenizers,
            self._vocabulary,
            prefix=bool(request.prefix),
        )

    def _speculative(self, request: RequestOptions, automaton: OutputAutomaton | None) -> bool:
        """Whether outputs are drafted from their sources."""
        if request.draft == "none" or request.do_sample or request.num_beams > 1:
            return False
        reason = why_not_speculative(self.model, RowInputs(automaton=automaton))
        if reason is not None and request.draft == "source":
            logger.warning("Decoding continues without drafts: %s.", reason)
        return reason is None

    def _as_targets(
        self, batch: Sequence[int], texts: Sequence[str], rows: Sequence[list[int]]
    ) -> list[list[int]]:
        """Sources in the target's vocabulary."""
        if self.tokenizers.source is self.tokenizers.target:
            return [rows[index] for index in batch]
        encoded = self.tokenizers.encode_targets([texts[index] for index in batch], None).rows
        return [row[len(self.tokenizers.target_start) : -1] for row in encoded]

    def _outputs(
        self,
        text: str,
        decoded: Decoded,
        request: RequestOptions,
        choices: Mapping[tuple[int, ...], str],
    ) -> list[Generated]:
        """The outputs of a text, as text."""
        outputs = decoded.outputs
        # A choice as it was given: a vocabulary may not be able to write its spaces or capitals.
        texts = [
            choices.get(tuple(output.tokens), written)
            for output, written in zip(
                outputs,
                self._texts(text, [output.tokens for output in outputs], request),
                strict=True,
            )
        ]
        aligned: list[Alignment | None] = [None] * len(outputs)
        if request.alignments is not None:
            aligned = align(
                self.model, self.tokenizers, text, decoded, request.alignments, self._device
            )
        return [
            Generated(
                text=written,
                tokens=tuple(output.tokens),
                score=output.score,
                token_scores=tuple(output.token_scores),
                steps=len(output.tokens) if output.steps is None else output.steps,
                at_limit=self._at_limit(output.tokens, request),
                source_cut=decoded.cut,
                alignment=alignment,
            )
            for output, written, alignment in zip(outputs, texts, aligned, strict=True)
        ]

    def _texts(
        self, text: str, rows: Sequence[Sequence[int]], request: RequestOptions
    ) -> list[str]:
        """The outputs of a text, detokenized if requested, as far as the request leaves them free.

        An expression or a prefix says how outputs are written.
        """
        as_decoded = request.detokenize != "auto" or request.regex is not None or request.prefix
        if as_decoded or not can_detokenize(self.tokenizers.target):
            return self.tokenizers.decode(rows)
        return detokenize(self.tokenizers, text, rows)

    def _at_limit(self, tokens: Sequence[int], request: RequestOptions) -> bool:
        """Whether the limit ended an output. An end token before it does not, unless forced."""
        if not tokens:
            return False  # a missing output
        forced = request.constraints.forced_eos_token_id is not None
        return self.tokenizers.special.end not in tokens or (
            forced and len(tokens) >= request.max_length - 1
        )
