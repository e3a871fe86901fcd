"""Decoding settings and constraints, named as in transformers' `generate`. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from warmstart.errors import UsageError
from warmstart.generation.literals import Detokenize, Draft
from warmstart.validation import Hint, validate

__all__ = ["NO_CONSTRAINTS", "SAMPLING", "Constraints", "GenerationConfig"]

_LEAST = 1e-6  # it and its inverse: beyond, scores divided or multiplied by it mean nothing
_STEEPEST = 32  # any length to the power of it is a number
# Settings of sampling alone.
SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p", "seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationConfig:
    """Decoding settings.

    Lengths count target tokens with the start token, as in transformers.
    """

    KEYWORD_HINTS: ClassVar[Mapping[str, str]] = {
        "max_new_tokens": "give max_length, which counts the start token, too.",
        "min_new_tokens": "give min_length, which counts the start token, too.",
    }

    num_beams: Annotated[int, Ge(1)] = 1
    """Beams; 1 is greedy search."""
    max_length: Annotated[int, Ge(2), Hint("It counts the start token")] = 128
    """Longest output, in tokens with the start token."""
    min_length: Annotated[int, Ge(0)] = 0
    """Shortest output, in tokens with the start token; the end token is forbidden before."""
    length_penalty: Annotated[float, Ge(-_STEEPEST), Le(_STEEPEST), Hint("1 is usual")] = 1.0
    """Beam scores are divided by length ** length_penalty; above 0 favours longer outputs."""
    early_stopping: Annotated[bool | Literal["never"], Hint("'never' is allowed, too")] = False
    """When a beam search ends: true: at num_beams outputs; false: when the best beam scores no
    better than they do; never: when no beam can still do so."""
    no_repeat_ngram_size: Annotated[int, Ge(0), Hint("0 is off")] = 0
    """No n-gram of this many tokens comes twice in an output; 0 is off."""
    encoder_no_repeat_ngram_size: Annotated[int, Ge(0), Hint("0 is off")] = 0
    """No n-gram of this many tokens is copied from the source; 0 is off."""
    repetition_penalty: Annotated[float, Ge(_LEAST), Le(1 / _LEAST), Hint("1 is off")] = 1.0
    """Above 1 makes tokens that the output has less likely; 1 is off."""
    num_return_sequences: Annotated[int, Ge(1)] = 1
    """Outputs of each text; at most num_beams, unless they are sampled."""
    num_beam_groups: Annotated[int, Ge(1)] = 1
    """Groups of beams, kept apart by the diversity penalty; a divisor of num_beams."""
    diversity_penalty: Annotated[float, Ge(0)] = 0.0
    """Nats taken off a token's score for each beam of the groups before that wrote it; above 0
    with groups, else 0."""
    do_sample: bool = False
    """Draw tokens by their probability, rather than take the likeliest."""
    temperature: Annotated[
        float, Ge(_LEAST), Le(1 / _LEAST), Hint("For the likeliest token, leave do_sample out")
    ] = 1.0
    """Sampling: divides the logits."""
    top_k: Annotated[int, Ge(0), Hint("0 is off")] = 50
    """Sampling: draw from the k likeliest tokens; 0 is off."""
    top_p: Annotated[float, Gt(0), Le(1), Hint("1 is off")] = 1.0
    """Sampling: draw from the likeliest tokens that hold this probability; 1 is off."""
    min_p: Annotated[float, Ge(0), Le(1), Hint("0 is off")] = 0.0
    """Sampling: draw from tokens with at least this share of the likeliest one's probability; 0
    is off."""
    typical_p: Annotated[float, Gt(0), Le(1), Hint("1 is off")] = 1.0
    """Sampling: draw from the most typical tokens that hold this probability; 1 is off."""
    seed: Annotated[int, Ge(0)] = 0
    """Sampling: with the source, it determines the sample."""
    draft: Draft = "auto"
    """Speculative greedy search, with the same output in fewer steps: guess tokens from the
    source, do not, or do so where it can pay."""
    draft_length: Annotated[int, Ge(1), Hint("Draft 'none' guesses nothing")] = 8
    """Most tokens guessed at once."""
    detokenize: Detokenize | None = None
    """With auto, outputs of uncased tokenizers and of those of word pieces get back case, accents,
    spaces and unknown words: copied words from the source, others by rule; none leaves outputs as
    they are decoded. Default: the model's; none for folders that do not say."""

    def __post_init__(self) -> None:
        validate(self)
        _check_beams(self)
        _check_sampling(self)
        _check_draft(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Rules for every output of a model, whatever the decoding settings.

    A pre-trained encoder-decoder brings them in its files, under transformers' names.
    """

    forced_bos_token_id: int | None = None
    """First token after the start token."""
    forced_eos_token_id: int | None = None
    """Last token of an output that reaches max_length."""
    bad_words_ids: Sequence[Sequence[int]] = ()
    """Sequences of tokens that no output contains."""
    renormalize_logits: bool = False
    """Whether probabilities sum to one without the tokens that are forbidden."""

    def __post_init__(self) -> None:
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            value = getattr(self, name)
            if value is not None and not _is_token(value):
                raise UsageError(f"{name} is {value!r}; give a token's id, or None.")
        words: object = self.bad_words_ids  # files may hold anything
        if not isinstance(words, Sequence) or not all(
            isinstance(word, Sequence) and word and all(map(_is_token, word)) for word in words
        ):
            raise UsageError(
                f"bad_words_ids is {words!r:.80}; give a list of words, each a list of token ids."
            )
        whether: object = self.renormalize_logits
        if not isinstance(whether, bool):
            raise UsageError(f"renormalize_logits is {whether!r}; give true or false.")

    def check_vocabulary(self, size: int) -> None:
        """Rejects tokens outside a vocabulary.

        Args:
            size: tokens of the vocabulary.

        Raises:
            UsageError: naming the setting.
        """
        for name, tokens in (
            ("forced_bos_token_id", [self.forced_bos_token_id]),
            ("forced_eos_token_id", [self.forced_eos_token_id]),
            ("bad_words_ids", [token for word in self.bad_words_ids for token in word]),
        ):
            for token in tokens:
                if token is not None and token >= size:
                    raise UsageError(
                        f"{name} holds the token {token}, but the model has {size}, from 0 on."
                    )


NO_CONSTRAINTS = Constraints()


def _is_token(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= 0


def _check_beams(config: GenerationConfig) -> None:
    beams, groups, returned = config.num_beams, config.num_beam_groups, config.num_return_sequences
    if config.min_length > config.max_length:
        raise UsageError(
            f"min_length is {config.min_length}; it must be at most max_length, which is "
            f"{config.max_length}."
        )
    if beams % groups:
        raise UsageError(
            f"num_beam_groups is {groups}; it must divide num_beams, which is {beams}."
        )
    if (config.diversity_penalty > 0) != (groups > 1):
        raise UsageError(
            f"diversity_penalty is {config.diversity_penalty} with num_beam_groups {groups}; "
            "groups need a penalty above 0 to differ, and without groups it must be 0."
        )
    if returned > beams and not config.do_sample:
        raise UsageError(
            f"num_return_sequences is {returned}, but num_beams is {beams}; a search has at most "
            "as many outputs as beams. Raise num_beams, or set do_sample."
        )


def _check_sampling(config: GenerationConfig) -> None:
    if config.do_sample and config.num_beams > 1:
        raise UsageError(
            f"do_sample is set and num_beams is {config.num_beams}; an output is either sampled "
            "or searched for. Set num_beams to 1 (num_return_sequences draws several samples), or "
            "do_sample to false."
        )


def _check_draft(config: GenerationConfig) -> None:
    if config.draft != "source":
        return
    for name, usual in (("do_sample", False), ("num_beams", 1)):
        value = getattr(config, name)
        if value != usual:
            raise UsageError(
                f"draft is 'source' and {name} is {value}; drafts are verified against the "
                f"likeliest token, so they go with greedy search alone. Leave {name} out, or set "
                "draft to 'auto' or 'none'."
            )
