"""From texts to outputs: what a call asks for, done by a model with its tokenizers."""

import logging
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import torch

from warmstart.constrained.trie import Trie
from warmstart.decoding.allowed_outputs import chosen_outputs, matching_outputs
from warmstart.decoding.output import Decoded, align, join_pieces
from warmstart.decoding.prefixes import prefix_rows
from warmstart.decoding.request import RequestOptions, check_model, check_streamable
from warmstart.errors import UsageError
from warmstart.generation.result import Alignment, Generated
from warmstart.generation.row_inputs import Allowed, Guide
from warmstart.generation.search import search_all
from warmstart.generation.speculative import undraftable
from warmstart.generation.streaming import Listener, listen
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.checks import check_ids, check_texts
from warmstart.text.long_sources import (
    Pieces,
    check_limit,
    check_long,
    first_pieces,
    refuse_long,
    shorter,
    split_long,
)
from warmstart.text.pieces import TextPieces, joined_pieces
from warmstart.text.tokenizer_pair import Encoded, TokenizerPair

__all__ = ["Decoding"]

_BATCHES_AHEAD = 32  # taken from a stream at a time

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decoding:
    """A model with its tokenizers."""

    model: EncoderDecoder
    tokenizers: TokenizerPair

    def generate(
        self, texts: Iterable[str], request: RequestOptions, *, warn: bool = True
    ) -> Iterator[tuple[int, list[Generated]]]:
        """Outputs of each text with its index, as batches finish.

        Of what is no sequence, so many texts are taken at a time that those of like length can go
        together.

        Args:
            texts: the sources.
            request: its options, resolved.
            warn: whether truncated sources are counted in the log.

        Raises:
            UsageError: if the request contradicts itself, the model or the texts.
            TextError: if a text is none, or too long where that is refused.
        """
        if not isinstance(texts, Sequence):
            yield from self._of_stream(texts, request, warn=warn)
            return
        check_texts(texts, "Text")
        check_model(self.model, request)
        pieces, choices = self._pieces(texts, request), self._choices(request)
        request = replace(request, prefix=first_pieces(request.prefix, pieces))
        waiting: dict[int, list[list[Generated] | None]] = {}
        for decoded in self._decode(pieces.texts, request, choices, warn=warn):
            place, owner = decoded.index, pieces.owners[decoded.index]
            found = self._in_words(pieces.texts[place], decoded, request, choices)
            first, count = pieces.span(owner)
            parts = waiting.setdefault(owner, [None] * count)
            parts[place - first] = found
            whole = [part for part in parts if part is not None]
            if len(whole) == count:
                del waiting[owner]
                yield owner, join_pieces(whole)

    def _of_stream(
        self, texts: Iterable[str], request: RequestOptions, *, warn: bool
    ) -> Iterator[tuple[int, list[Generated]]]:
        given: object = texts
        if not isinstance(given, Iterable):
            raise UsageError(f"generate takes a list of texts, not {given!r:.40}.")
        check_model(self.model, request)
        if not isinstance(request.prefix, str | None):
            raise UsageError(
                "prefix has a text for each of the texts, which are no list; give a list, or one "
                "prefix for all."
            )
        following, first = iter(texts), 0
        while some := list(islice(following, _BATCHES_AHEAD * request.batch_size)):
            for place, found in self.generate(some, request, warn=warn):
                yield first + place, found
            first += len(some)

    def stream(self, text: str, request: RequestOptions) -> Generator[str, None, None]:
        """The output for one text in pieces, while it is written. Raises as `generate`."""
        # Drafts write several tokens at once, and the same ones.
        request = replace(request, draft="none")
        check_streamable(request)
        if not isinstance(text, str):
            raise UsageError("stream takes one text, not several; call it for each.")
        check_texts([text], "Text")
        check_model(self.model, request)
        if request.choices is not None:
            # Which one it is shows with its last token, and then it stands as it was given.
            return (found[0].text for _, found in self.generate([text], request))
        pieces = self._pieces([text], request)
        prefixes = first_pieces(request.prefix, pieces)
        if isinstance(prefixes, str) or prefixes is None:
            prefixes = [prefixes or ""] * len(pieces.texts)

        def search(part: str, begun: str, listener: Listener) -> None:
            given = replace(request, prefix=begun or None)
            for _ in self._decode([part], given, {}, listener=listener):
                pass

        return joined_pieces(
            TextPieces(lambda tokens: self.tokenizers.decode([tokens])[0]).of(
                tokens[0] for tokens in listen(partial(search, part, begun))
            )
            for part, begun in zip(pieces.texts, prefixes, strict=True)
        )

    def tokens(
        self, texts: Sequence[str], request: RequestOptions
    ) -> Iterator[tuple[int, list[int], bool]]:
        """(index, token ids, whether the limit ended them) of each text's first output."""
        check_texts(texts, "Text")
        check_model(self.model, request)
        for decoded in self._decode(texts, request, self._choices(request)):
            tokens = decoded.outputs[0].tokens
            yield decoded.index, tokens, self._at_limit(tokens, request)

    def encode_sources(
        self, texts: Sequence[str], max_length: int | None, *, warn: bool = True
    ) -> Encoded:
        """Token ids of sources, cut to what the model can read.

        Args:
            texts: the sources.
            max_length: tokens, if less than the positions allow.
            warn: whether those that are cut are counted in the log.
        """
        limit = self._source_limit(max_length)
        encoded = self.tokenizers.encode_sources(texts, limit)
        if encoded.cut and warn:
            logger.warning(
                "%d of %d sources are longer than %d tokens and were cut.",
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

    def _source_limit(self, max_length: int | None) -> int | None:
        """The longest source in tokens; None: any."""
        if max_length is not None:
            check_limit(max_length, self.tokenizers.count_sources([""])[0])
        return shorter(max_length, self.model.source_limit)

    def _pieces(self, texts: Sequence[str], request: RequestOptions) -> Pieces:
        """Texts, long ones in pieces if that is asked for."""
        limit, count = self._source_limit(request.max_source_length), self.tokenizers.count_sources
        check_long(request.long, request.chunk_overlap, limit)
        if request.long == "chunk":
            return split_long(texts, limit, count, overlap=request.chunk_overlap)
        if request.long == "error":
            refuse_long(texts, limit, count)
        return Pieces(list(texts), list(range(len(texts))))

    def _decode(
        self,
        texts: Sequence[str],
        request: RequestOptions,
        choices: Mapping[tuple[int, ...], str],
        *,
        listener: Listener | None = None,
        warn: bool = True,
    ) -> Iterator[Decoded]:
        """What is found for each text, as batches finish."""
        size = request.batch_size
        words = self.model.config.decoder.embedding.vocabulary
        prefixes = prefix_rows(request.prefix, len(texts), request, self.tokenizers, words)
        allowed = self._allowed(request, choices, prefixes)
        encoded = self.encode_sources(texts, request.max_source_length, warn=warn)
        rows, cut = encoded.rows, {*encoded.cut}
        drafted = self._drafted(request, allowed)
        order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            as_targets: list[list[int]] = []
            if drafted or request.encoder_no_repeat_ngram_size:
                as_targets = self._as_targets(batch, texts, rows)
            guide = Guide(
                prefixes=[prefixes[index] for index in batch] if prefixes else (),
                source_rows=as_targets if request.encoder_no_repeat_ngram_size else (),
                draft_rows=[
                    # No more than the model has read of it, by and large.
                    [*row[: 2 * len(rows[index])], self.tokenizers.special.end]
                    for index, row in zip(batch, as_targets, strict=True)
                ]
                if drafted
                else (),
                allowed=allowed,
                listener=listener,
            )
            found = search_all(
                self.model,
                Sequences.of([rows[index] for index in batch], self._device),
                self.tokenizers.special,
                request,
                request.constraints,
                guide,
                scored=request.scores,
            )
            for index, outputs in zip(batch, found, strict=True):
                yield Decoded(index, outputs, rows[index], index in cut)

    def _allowed(
        self,
        request: RequestOptions,
        choices: Collection[Sequence[int]],
        prefixes: Sequence[Sequence[int]],
    ) -> Allowed | None:
        """The outputs that choices or a regular expression allow; None: any."""
        words = self.model.config.decoder.embedding.vocabulary
        if choices:
            return Trie(choices, self.tokenizers.special.end, words)
        if request.regex is None:
            return None
        return matching_outputs(
            request.regex, request, request.constraints, self.tokenizers, words, prefixes
        )

    def _choices(self, request: RequestOptions) -> dict[tuple[int, ...], str]:
        """The texts that are allowed, by their tokens; nothing without choices."""
        return chosen_outputs(
            request.choices,
            request,
            request.constraints,
            self.tokenizers,
            self.model.config.decoder.embedding.vocabulary,
            prefix=bool(request.prefix),
        )

    def _drafted(self, request: RequestOptions, allowed: Allowed | None) -> bool:
        """Whether outputs are guessed from their sources."""
        if request.draft == "none" or request.do_sample or request.num_beams > 1:
            return False
        reason = undraftable(self.model, Guide(allowed=allowed))
        if reason is not None and request.draft == "source":
            logger.warning("Decoding goes on without drafts: %s.", reason)
        return reason is None

    def _as_targets(
        self, batch: Sequence[int], texts: Sequence[str], rows: Sequence[list[int]]
    ) -> list[list[int]]:
        """Sources in the target's vocabulary."""
        if self.tokenizers.source is self.tokenizers.target:
            return [rows[index] for index in batch]
        written = self.tokenizers.encode_targets([texts[index] for index in batch], None).rows
        return [row[len(self.tokenizers.target_start) : -1] for row in written]

    def _in_words(
        self,
        text: str,
        decoded: Decoded,
        request: RequestOptions,
        choices: Mapping[tuple[int, ...], str],
    ) -> list[Generated]:
        """What was found for a text, in its own words."""
        found = decoded.outputs
        # A choice as it was given: a vocabulary may not be able to write its spaces or capitals.
        texts = [
            choices.get(tuple(output.tokens), written)
            for output, written in zip(
                found, self.tokenizers.decode([output.tokens for output in found]), strict=True
            )
        ]
        aligned: list[Alignment | None] = [None] * len(found)
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
            for output, written, alignment in zip(found, texts, aligned, strict=True)
        ]

    def _at_limit(self, tokens: Sequence[int], request: RequestOptions) -> bool:
        """Whether the limit ended an output. An end token does before, unless it is forced."""
        if not tokens:
            return False  # there is none
        forced = request.constraints.forced_eos_token_id is not None
        return self.tokenizers.special.end not in tokens or (
            forced and len(tokens) >= request.max_length - 1
        )
