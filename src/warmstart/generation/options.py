"""What decoding can be told, with the meaning that transformers' `generate` gives each name."""

from dataclasses import dataclass
from typing import Literal

from typing_extensions import TypedDict  # pydantic, which checks recipes, needs this one on 3.11

from warmstart.errors import UsageError

__all__ = ["Constraints", "GenerationOptions", "GenerationOverrides"]


class GenerationOverrides(TypedDict, total=False):
    """The same names as `GenerationOptions`, each optional: what a call changes."""

    num_beams: int
    max_length: int
    min_length: int
    length_penalty: float
    early_stopping: bool | Literal["never"]
    no_repeat_ngram_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOptions:
    """Decoding settings.

    Lengths count target tokens with the start token, as in transformers.
    """

    num_beams: int = 1  # >= 1; 1 is greedy
    max_length: int = 128  # tokens, > 1: the paper's target length for splitting and fusion
    min_length: int = 0  # tokens, <= max_length; the end token is forbidden before
    length_penalty: float = 1.0  # beam scores are divided by length ** length_penalty
    early_stopping: bool | Literal["never"] = False  # when a beam search may end, see `beam.py`
    no_repeat_ngram_size: int = 0  # 0 is off; n forbids any n-gram to come twice

    def __post_init__(self) -> None:
        if self.num_beams < 1:
            raise UsageError(f"num_beams is {self.num_beams}; it must be at least 1 (greedy).")
        if self.max_length < 2:
            raise UsageError(
                f"max_length is {self.max_length}; it counts the start token, so it must be at "
                "least 2."
            )
        if not 0 <= self.min_length <= self.max_length:
            raise UsageError(
                f"min_length is {self.min_length}; it must lie between 0 and max_length, "
                f"{self.max_length}."
            )
        if self.no_repeat_ngram_size < 0:
            raise UsageError(
                f"no_repeat_ngram_size is {self.no_repeat_ngram_size}; it must be 0 (off) or more."
            )
        if self.early_stopping not in (True, False, "never"):
            raise UsageError(
                f"early_stopping is {self.early_stopping!r}; allowed are true, false and 'never'."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What holds for every output of a model, however it is decoded.

    A pre-trained encoder-decoder brings them in its files, under transformers' names.
    """

    forced_bos_token_id: int | None = None  # the first token after the start token
    forced_eos_token_id: int | None = None  # the last token of an output that reaches max_length
    bad_words_ids: tuple[tuple[int, ...], ...] = ()  # sequences of tokens that are never written
    renormalize_logits: bool = False  # whether probabilities sum to one without what is forbidden
