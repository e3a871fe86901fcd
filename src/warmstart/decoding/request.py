"""What a call asks of decoding: checked, and its texts in token ids."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from numbers import Integral

from transformers import PreTrainedTokenizerBase

from warmstart.constrained.preimage import before
from warmstart.constrained.regex_automaton import automaton_of, stripped
from warmstart.constrained.token_automaton import TokenAutomaton, TokenTree
from warmstart.constrained.token_bytes import WrittenTokens, written_tokens
from warmstart.errors import UsageError, did_you_mean
from warmstart.generation.alignment import AlignmentLayers
from warmstart.generation.logits import NONE
from warmstart.generation.options import (
    SAMPLING,
    Constraints,
    GenerationOptions,
    GenerationOverrides,
)
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.text.checks import check_ids, check_texts
from warmstart.text.long_sources import Long
from warmstart.text.tokenizer_pair import TokenizerPair

__all__ = [
    "Request",
    "allowed_outputs",
    "check_request",
    "check_streamable",
    "matching_outputs",
    "prefix_rows",
    "settled",
]

logger = logging.getLogger(__name__)

_IN_CONSTRAINTS = "give constraints=Constraints({0}=...)."
_ELSEWHERE = {  # names of transformers' for what has another place here
    "max_new_tokens": "give max_length, which counts the start token, too.",
    "min_new_tokens": "give min_length, which counts the start token, too.",
    **{name: _IN_CONSTRAINTS.format(name) for name in Constraints.__dataclass_fields__},
}
_LARGEST = 50_000  # states of an automaton: some gigabytes and minutes


@dataclass(frozen=True, slots=True)
class Request:
    """What a call asks for beside its texts; `Seq2Seq.generate_detailed` says what each means.

    Attributes:
        settings: as `settled` gives them.
        batch_size: see there, and so on.
        scored: whether scores of greedy outputs and samples are asked for.
        warn: whether sources that are cut are counted in the log.
    """

    settings: GenerationOptions
    batch_size: int = 32
    max_source_length: int | None = None
    long: Long = "truncate"
    chunk_overlap: int = 0
    prefix: str | Sequence[str] | None = None
    choices: Sequence[str] | None = None
    regex: str | None = None
    constraints: Constraints = NONE
    alignments: AlignmentLayers | None = None
    scored: bool = False
    warn: bool = True


def settled(
    options: GenerationOptions, overrides: GenerationOverrides, limit: int | None
) -> GenerationOptions:
    """Settings with some of them changed, and lengths that the model can write.

    Args:
        options: the settings.
        overrides: those to change.
        limit: the longest target in tokens, see `EncoderDecoder.target_limit`.

    Raises:
        UsageError: if there is no such setting, or it contradicts another.
    """
    allowed = GenerationOptions.__dataclass_fields__
    for name in overrides:
        if name not in allowed:
            hint = _ELSEWHERE.get(name) or did_you_mean(name, allowed)
            raise UsageError(f"There is no decoding setting '{name}'; {hint}")
    settings = replace(options, **overrides)
    if "draft_length" in overrides:
        for name, value in (
            ("draft", settings.draft == "none"),
            ("do_sample", settings.do_sample),
            ("num_beams", settings.num_beams > 1),
        ):
            if value:
                raise UsageError(
                    f"draft_length is given, but {name} is {getattr(settings, name)!r}, where "
                    "nothing is guessed; drafts go with greedy search. Leave one of the two out."
                )
    unheard = [name for name in SAMPLING if name in overrides]
    if unheard and not settings.do_sample:
        raise UsageError(
            f"{unheard[0]} is given, which only sampling looks at, but do_sample is not set; "
            "set it, or leave the other out."
        )
    if limit is not None and settings.max_length > limit:
        if "max_length" in overrides:
            _tell_of_limit(settings.max_length, limit)
        settings = replace(settings, max_length=limit, min_length=min(settings.min_length, limit))
    return settings


@cache  # once, however many calls ask for it
def _tell_of_limit(asked: int, limit: int) -> None:
    logger.warning(
        "max_length is %d, but the model has positions for %d target tokens, the start token "
        "included; outputs end there.",
        asked,
        limit,
    )


def check_request(model: EncoderDecoder, request: Request) -> None:
    """Refuses alignments of a model that has none, and what does not go together.

    Raises:
        UsageError: naming the rule.
    """
    _check_kinds(request)
    request.constraints.check_vocabulary(model.config.decoder.embedding.vocabulary)
    alignments, choices, regex = request.alignments, request.choices, request.regex
    if alignments not in (None, "mean", "last"):
        raise UsageError(f"alignments is {alignments!r}; allowed are 'mean' and 'last'.")
    if alignments is not None and model.encoder is None:
        raise UsageError(
            "The model has no encoder, so there is no cross-attention to align by; leave "
            "alignments out."
        )
    if choices is not None and regex is not None:
        raise UsageError(
            "choices and regex are both given; leave the choices out that the regex does not "
            "match, or give the choices as part of it: (one|another)."
        )
    for name, given in (("alignments", alignments), ("choices", choices), ("regex", regex)):
        if request.long == "chunk" and given is not None:
            raise UsageError(
                f"{name} is given and long is 'chunk', but it is of a text as a whole. Set long "
                f"to 'truncate' or 'error', or leave {name} out."
            )


def _check_kinds(request: Request) -> None:
    """Python callers may give anything."""
    size, limit = request.batch_size, request.max_source_length
    numbers: dict[str, object] = {"batch_size": size}
    if limit is not None:
        numbers["max_source_length"] = limit
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise UsageError(f"{name} is {value!r}; give a whole number.")
    if size < 1:
        raise UsageError(f"batch_size is {size}; it must be 1 or more.")
    regex: object = request.regex
    if regex is not None and not isinstance(regex, str):
        raise UsageError(f"regex is {regex!r:.80}; give the regular expression as a text.")


def check_streamable(settings: GenerationOptions) -> None:
    """Refuses what is not written one token after the other.

    Raises:
        UsageError: naming the setting.
    """
    if settings.num_beams > 1:
        raise UsageError(
            f"num_beams is {settings.num_beams}, and a beam search knows its output only at the "
            "end; stream with num_beams 1, or use generate."
        )
    if settings.num_return_sequences > 1:
        raise UsageError(
            f"num_return_sequences is {settings.num_return_sequences}, and a stream is of one "
            "output; leave it out, or use generate."
        )


def prefix_rows(
    prefix: str | Sequence[str] | None,
    texts: int,
    settings: GenerationOptions,
    tokenizers: TokenizerPair,
    vocabulary: int,
) -> list[list[int]]:
    """Tokens that each output begins with; nothing without prefixes.

    Args:
        prefix: a text for all outputs, or one for each.
        texts: how many there are.
        settings: the length limit is looked at.
        tokenizers: the target's is used.
        vocabulary: words that the model has a vector for.

    Raises:
        UsageError: if a prefix leaves no room, or is none.
    """
    if prefix is None:
        return []
    if not isinstance(prefix, Sequence):
        raise UsageError(
            f"prefix is {prefix!r:.80}; give one text for all, or a list with one for each."
        )
    alone = isinstance(prefix, str)
    given = [prefix] if isinstance(prefix, str) else list(prefix)
    if not alone and len(given) != texts:
        raise UsageError(
            f"There are {len(given)} prefixes for {texts} texts; give one for each, or a "
            "single text for all."
        )
    check_texts(given, "Prefix")
    room, end = settings.max_length - 2, tokenizers.special.end
    rows = [row[:-1] for row in tokenizers.encode_targets(given, None).rows]
    unseen = {*tokenizers.target.all_special_ids}
    for place, (text, row) in enumerate(zip(given, rows, strict=True), start=1):
        name = "The prefix" if alone else f"Prefix {place}"
        if not text:
            row.clear()
        if len(row) > room:
            raise UsageError(
                f"{name} has {len(row)} tokens, but max_length is {settings.max_length}, which "
                f"with the start token and one token to write leaves room for {room}; shorten it, "
                "or raise max_length as far as the model's positions go."
            )
        if end in row:
            raise UsageError(f"{name} holds the end token, so nothing could follow; take it out.")
        hidden = unseen & {*row[len(tokenizers.target_start) :]}
        if hidden:
            token = tokenizers.target.convert_ids_to_tokens(min(hidden))
            raise UsageError(
                f"{name} becomes the token {token} in part, which no output shows, so none would "
                "begin with it; take out what the target's vocabulary cannot write."
            )
    check_ids(rows, vocabulary, tokenizers.target)
    return rows * texts if alone else rows


def allowed_outputs(
    choices: Sequence[str] | None,
    settings: GenerationOptions,
    constraints: Constraints,
    tokenizers: TokenizerPair,
    vocabulary: int,
    *,
    prefix: bool,
) -> dict[tuple[int, ...], str]:
    """The texts that are allowed, by their tokens with the end token; nothing without choices.

    Args:
        choices: the texts.
        settings: the length limit is looked at.
        constraints: forced tokens are looked at.
        tokenizers: the target's is used.
        vocabulary: words that the model has a vector for.
        prefix: whether prefixes are given, too.

    Raises:
        UsageError: if a choice is too long or none, or the vocabulary cannot tell two from each
            other; or if prefixes or a forced token contradict them.
    """
    if choices is None:
        return {}
    given: object = choices
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise UsageError("choices takes a list of the texts that are allowed, at least one.")
    if prefix:
        raise UsageError(
            "prefix and choices are both given; give the choices that begin with the prefix."
        )
    check_texts(choices, "Choice")
    rows = tokenizers.encode_targets(choices, None).rows
    check_ids(rows, vocabulary, tokenizers.target)
    first, last = constraints.forced_bos_token_id, constraints.forced_eos_token_id
    end, limit = tokenizers.special.end, settings.max_length - 1
    texts: dict[tuple[int, ...], str] = {}
    for place, (text, row) in enumerate(zip(choices, rows, strict=True), start=1):
        if len(row) > limit:
            raise UsageError(
                f"Choice {place} has {len(row)} tokens with its end, but max_length is "
                f"{settings.max_length}, start token included; raise it or leave the choice "
                "out."
            )
        if end in row[:-1]:
            raise UsageError(
                f"Choice {place} holds the end token, so nothing could follow; take it out."
            )
        if first not in (None, row[0]) or (len(row) == limit and last not in (None, end)):
            name = "forced_bos_token_id" if first not in (None, row[0]) else "forced_eos_token_id"
            raise UsageError(
                f"Choice {place}, '{text:.40}', contradicts the constraint {name}, which is "
                f"{getattr(constraints, name)}; leave one of them out."
            )
        if texts.setdefault(tuple(row), text) != text:
            raise UsageError(
                f"Choice {place}, '{text:.40}', has the same tokens in the target's vocabulary as "
                f"'{texts[tuple(row)]:.40}', so they cannot be told apart; leave one of them out."
            )
    return texts


def matching_outputs(
    regex: str,
    settings: GenerationOptions,
    constraints: Constraints,
    tokenizers: TokenizerPair,
    vocabulary: int,
    prefixes: Sequence[Sequence[int]],
) -> TokenAutomaton:
    """The outputs whose text a regular expression matches.

    Args:
        regex: as Python's `re` takes it.
        settings: the length limit is looked at.
        constraints: of the model; forced tokens are looked at.
        tokenizers: the target's is used.
        vocabulary: words that the model has a vector for.
        prefixes: tokens that outputs begin with, if any are given. Shape: [B, ...]

    Raises:
        UsageError: if it is none, or contradicts the vocabulary, the limit, a prefix or a forced
            token.
    """
    automaton = _automaton(regex, tokenizers, vocabulary)
    named = f"regex is '{regex:.80}'"
    if automaton.shortest() is None:
        raise UsageError(
            f"{named}, but the target's vocabulary cannot write any text that it matches. An "
            "uncased vocabulary has no capitals, and space around a text is never part of it; "
            "change the regex."
        )
    first, last = constraints.forced_bos_token_id, constraints.forced_eos_token_id
    if last is not None and automaton.writes(last):
        raise UsageError(
            f"{named}, but the model forces outputs to end with the token {last} at the limit "
            "(forced_eos_token_id), which writes text of its own; leave the regex out."
        )
    for place, row in enumerate(prefixes or [[]], start=1):
        # As its tokens read: they may put spaces where the text had none.
        given = f"Prefix {place}, '{tokenizers.decode([row])[0]:.40}'," if row else ""
        if not row and first is not None:
            row, given = [first], f"the model's forced_bos_token_id, {first},"
        least = automaton.shortest(row)
        if least is None:
            raise UsageError(
                f"{named}, but no text that it matches begins with {given} which outputs have "
                "to; let the regex match the beginning, too, or leave one of them out."
            )
        if least > settings.max_length - 1:
            behind = f" behind {given}" if given else ""
            raise UsageError(
                f"{named}, whose shortest output{behind} has {least} tokens with its end, but "
                f"max_length is {settings.max_length}, start token included; raise it."
            )
    return automaton


@lru_cache(maxsize=8)
def _automaton(regex: str, tokenizers: TokenizerPair, vocabulary: int) -> TokenAutomaton:
    written, tree = _token_tree(tokenizers.target, vocabulary)
    automaton = before(stripped(automaton_of(regex)), written.replacements)
    if len(automaton.after_NB) > _LARGEST:
        raise UsageError(
            f"regex is '{regex:.80}', whose automaton has {len(automaton.after_NB)} states; "
            f"allowed are {_LARGEST}. Lower the counts of repetitions, or use * or +."
        )
    return TokenAutomaton(automaton, tree, tokenizers.special.end, tokenizers.target_start)


@lru_cache(maxsize=2)
def _token_tree(
    tokenizer: PreTrainedTokenizerBase, vocabulary: int
) -> tuple[WrittenTokens, TokenTree]:
    written = written_tokens(tokenizer, vocabulary)
    return written, TokenTree(written.first, written.later)
