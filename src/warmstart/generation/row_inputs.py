"""Token ids that single requests and texts bring to the decoding of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from warmstart.generation.streaming import OnStep

__all__ = ["NO_INPUTS", "OutputAutomaton", "RowInputs"]


class OutputAutomaton(Protocol):
    """The outputs that are allowed, as states that rows pass through; state 0 is the start.

    Shape legend: R rows decoded side by side, V vocabulary.
    """

    def to(self, device: torch.device) -> "OutputAutomaton":
        """Moves its tables, in place."""

    def next_tokens(self, states_R: Tensor, room: int) -> Tensor:
        """Marks the tokens that may follow, at least one for each row.

        Args:
            states_R: the states of the rows. Shape: [R]
            room: tokens that they may still write, the end token included.

        Returns:
            Shape: [R, V]
        """

    def advance(self, states_R: Tensor, tokens_R: Tensor) -> Tensor:
        """The states that tokens lead to. Shape: [R], [R] -> [R]"""

    def finished(self, states_R: Tensor) -> Tensor:
        """Whether rows have ended, or have left the allowed outputs. Shape: [R] -> [R]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowInputs:
    """Inputs of a batch beyond its sources.

    Attributes:
        prefixes: tokens that each output begins with, after the start token and shorter than the
            limit; empty without prefixes. Shape: [B, ...]
        source_rows: each source in the target's vocabulary, for `encoder_no_repeat_ngram_size`.
            Shape: [B, ...]
        draft_rows: each source in the target's vocabulary, for drafts; empty without drafts.
            Shape: [B, ...]
        automaton: the outputs that are allowed; None: any.
        on_step: called with each row's token at each step of greedy search or sampling.
    """

    prefixes: Sequence[Sequence[int]] = ()
    source_rows: Sequence[Sequence[int]] = ()
    draft_rows: Sequence[Sequence[int]] = ()
    automaton: OutputAutomaton | None = None
    on_step: OnStep | None = None


NO_INPUTS = RowInputs()
