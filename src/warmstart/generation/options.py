"""What decoding can be told, with the meaning that transformers' `generate` gives each name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Literal, TypeAlias

from typing_extensions import TypedDict  # pydantic, which checks recipes, needs this one on 3.11

from warmstart.errors import UsageError

__all__ = ["SAMPLING", "Constraints", "Draft", "GenerationOptions", "GenerationOverrides"]

Draft: TypeAlias = Literal["none", "source", "auto"]  # where guesses of what follows come from

_LEAST = 1e-6  # it and its inverse: beyond, scores divided or multiplied by it mean nothing
_STEEPEST = 32  # any length to the power of it is a number
# What only sampling looks at.
SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p", "seed")


class GenerationOverrides(TypedDict, total=False):
    """The same names as `GenerationOptions`, each optional: what a call changes."""

    num_beams: int
    max_length: int
    min_length: int
    length_penalty: float
    early_stopping: bool | Literal["never"]
    no_repeat_ngram_size: int
    encoder_no_repeat_ngram_size: int
    repetition_penalty: float
    num_return_sequences: int
    num_beam_groups: int
    diversity_penalty: float
    do_sample: bool
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    seed: int
    draft: Draft
    draft_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOptions:
    """Decoding settings.

    Lengths count target tokens with the start token, as in transformers.
    """

    num_beams: int = 1  # >= 1; 1 is greedy
    max_length: int = 128  # tokens, > 1: the paper's target length for splitting and fusion
    min_length: int = 0  # tokens, <= max_length; the end token is forbidden before
    length_penalty: float = 1.0  # scores are divided by length ** length_penalty
    early_stopping: bool | Literal["never"] = False  # when a beam search may end, see `beam.py`
    no_repeat_ngram_size: int = 0  # 0 is off; n forbids any n-gram to come twice
    encoder_no_repeat_ngram_size: int = 0  # 0 is off; n forbids any n-gram of the source
    repetition_penalty: float = 1.0  # > 0; above 1 makes tokens that are written less likely
    num_return_sequences: int = 1  # outputs of each source; at most num_beams, if not sampled
    num_beam_groups: int = 1  # divides num_beams; groups are kept apart by diversity_penalty
    diversity_penalty: float = 0.0  # nats, > 0 with groups: see `beam.py`
    do_sample: bool = False  # draw tokens by their probability, instead of taking the likeliest
    temperature: float = 1.0  # > 0; logits are divided by it. This and what follows: sampling only
    top_k: int = 50  # draw from the k likeliest; 0 is off
    top_p: float = 1.0  # draw from the likeliest that hold this probability; 0 to 1, 1 is off
    min_p: float = 0.0  # ... that have this share of the likeliest's; 0 to 1, 0 is off
    typical_p: float = 1.0  # ... from the most typical that hold this much; 0 to 1, 1 is off
    seed: int = 0  # >= 0; with the source it settles a sample
    draft: Draft = "auto"  # guess what follows, see `drafted.py`; "auto": where that can be
    draft_length: int = 8  # tokens, >= 1: the most that are guessed at once

    def __post_init__(self) -> None:
        _check_kinds(self)
        _check_lengths(self)
        _check_rules(self)
        _check_beams(self)
        _check_sampling(self)
        _check_draft(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What holds for every output of a model, however it is decoded.

    A pre-trained encoder-decoder brings them in its files, under transformers' names.
    """

    forced_bos_token_id: int | None = None  # the first token after the start token
    forced_eos_token_id: int | None = None  # the last token of an output that reaches max_length
    bad_words_ids: Sequence[Sequence[int]] = ()  # sequences of tokens that are never written
    renormalize_logits: bool = False  # whether probabilities sum to one without what is forbidden

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

    def check_vocabulary(self, words: int) -> None:
        """Refuses tokens that a model of so many words does not have.

        Raises:
            UsageError: naming the setting.
        """
        for name, tokens in (
            ("forced_bos_token_id", [self.forced_bos_token_id]),
            ("forced_eos_token_id", [self.forced_eos_token_id]),
            ("bad_words_ids", [token for word in self.bad_words_ids for token in word]),
        ):
            for token in tokens:
                if token is not None and token >= words:
                    raise UsageError(
                        f"{name} holds the token {token}, but the model has {words}, from 0 on."
                    )


def _is_token(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= 0


def _check_kinds(options: GenerationOptions) -> None:
    """A number must be one: Python callers and files may give anything."""
    for field in fields(options):
        value: object = getattr(options, field.name)
        # True is a number for Python, and none here.
        kind = type(None) if isinstance(value, bool) else type(value)
        if field.name == "do_sample" and not isinstance(value, bool):
            raise UsageError(f"do_sample is {value!r}; give true or false.")
        if isinstance(field.default, bool | str):
            continue
        if isinstance(field.default, int) and not issubclass(kind, Integral):
            raise UsageError(f"{field.name} is {value!r}; give a whole number.")
        if not issubclass(kind, Real):
            raise UsageError(f"{field.name} is {value!r}; give a number.")


def _check_lengths(options: GenerationOptions) -> None:
    if options.max_length < 2:
        raise UsageError(
            f"max_length is {options.max_length}; it counts the start token, so it must be at "
            "least 2."
        )
    if not 0 <= options.min_length <= options.max_length:
        raise UsageError(
            f"min_length is {options.min_length}; it must lie between 0 and max_length, "
            f"{options.max_length}."
        )


def _check_rules(options: GenerationOptions) -> None:
    for name in ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size"):
        value = getattr(options, name)
        if value < 0:
            raise UsageError(f"{name} is {value}; it must be 0 (off) or more.")
    if not _LEAST <= options.repetition_penalty <= 1 / _LEAST:
        raise UsageError(
            f"repetition_penalty is {options.repetition_penalty}; it must lie between {_LEAST} and "
            f"{1 / _LEAST:.0f}; 1 is off."
        )


def _check_beams(options: GenerationOptions) -> None:
    beams, groups, returned = (
        options.num_beams,
        options.num_beam_groups,
        options.num_return_sequences,
    )
    if beams < 1:
        raise UsageError(f"num_beams is {beams}; it must be at least 1 (greedy).")
    if not -_STEEPEST <= options.length_penalty <= _STEEPEST:
        raise UsageError(
            f"length_penalty is {options.length_penalty}; it must lie between -{_STEEPEST} and "
            f"{_STEEPEST}; 1 is usual."
        )
    early: object = options.early_stopping
    if not isinstance(early, bool) and early != "never":
        raise UsageError(f"early_stopping is {early!r}; allowed are true, false and 'never'.")
    if groups < 1 or beams % groups:
        raise UsageError(
            f"num_beam_groups is {groups}; it must divide num_beams, which is {beams}."
        )
    penalty = options.diversity_penalty
    if not 0 <= penalty < math.inf or (penalty > 0) != (groups > 1):
        raise UsageError(
            f"diversity_penalty is {penalty} with num_beam_groups {groups}; "
            "groups need a penalty above 0 to differ, and without groups it must be 0."
        )
    if returned < 1:
        raise UsageError(f"num_return_sequences is {returned}; it must be at least 1.")
    if returned > beams and not options.do_sample:
        raise UsageError(
            f"num_return_sequences is {returned}, but num_beams is {beams}; a search finds at most "
            "as many outputs as it has beams. Raise num_beams, or set do_sample."
        )


def _check_sampling(options: GenerationOptions) -> None:
    if options.do_sample and options.num_beams > 1:
        raise UsageError(
            f"do_sample is set and num_beams is {options.num_beams}; an output is either sampled "
            "or searched for. Set num_beams to 1 (num_return_sequences draws several samples), or "
            "do_sample to false."
        )
    if not _LEAST <= options.temperature <= 1 / _LEAST:
        raise UsageError(
            f"temperature is {options.temperature}; it must lie between {_LEAST} and "
            f"{1 / _LEAST:.0f}. For the likeliest token, leave do_sample out."
        )
    if options.top_k < 0:
        raise UsageError(f"top_k is {options.top_k}; it must be 0 (off) or more.")
    for name in ("top_p", "typical_p"):
        value = getattr(options, name)
        if not 0 < value <= 1:
            raise UsageError(f"{name} is {value}; it must be above 0 and at most 1 (off).")
    if not 0 <= options.min_p <= 1:
        raise UsageError(f"min_p is {options.min_p}; it must lie between 0 (off) and 1.")
    if options.seed < 0:
        raise UsageError(f"seed is {options.seed}; it must be 0 or more.")


def _check_draft(options: GenerationOptions) -> None:
    if options.draft not in ("none", "source", "auto"):
        raise UsageError(f"draft is {options.draft!r}; allowed are 'none', 'source' and 'auto'.")
    if options.draft_length < 1:
        raise UsageError(
            f"draft_length is {options.draft_length}; it must be at least 1 token. For none, set "
            "draft to 'none'."
        )
    if options.draft != "source":
        return
    for name, usual in (("do_sample", False), ("num_beams", 1)):
        value = getattr(options, name)
        if value != usual:
            raise UsageError(
                f"draft is 'source' and {name} is {value}; drafts are verified against the "
                f"likeliest token, so they go with greedy search alone. Leave {name} out, or set "
                "draft to 'auto' or 'none'."
            )
