"""What single calls and texts bring to decoding, in token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from warmstart.generation.streaming import Listener

__all__ = ["NO_GUIDE", "Allowed", "Guide"]


class Allowed(Protocol):
    """The outputs that are allowed, as nodes that rows walk along; node 0 is the beginning.

    Shape legend: R rows decoded side by side, V vocabulary.
    """

    def to(self, device: torch.device) -> "Allowed":
        """Moves what is looked up, in place."""

    def allowed(self, nodes_R: Tensor, room: int) -> Tensor:
        """True for tokens that may follow; of each row there is one.

        Args:
            nodes_R: where the rows are. Shape: [R]
            room: tokens that they may still write, the end token included.

        Returns:
            Shape: [R, V]
        """

    def after(self, nodes_R: Tensor, tokens_R: Tensor) -> Tensor:
        """The nodes that tokens lead to. Shape: [R], [R] -> [R]"""

    def off(self, nodes_R: Tensor) -> Tensor:
        """Whether rows have ended, or have left what is allowed. Shape: [R] -> [R]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """What outputs have to begin with, to be, or not to repeat.

    Attributes:
        prefixes: tokens that each output begins with, behind the start token and shorter than the
            limit; none where there are no prefixes. Shape: [B, ...]
        source_rows: each source in the target's vocabulary, for `encoder_no_repeat_ngram_size`.
            Shape: [B, ...]
        draft_rows: each source in the target's vocabulary, to guess outputs by; none where no
            drafts are asked for. Shape: [B, ...]
        allowed: the outputs that are allowed; None: any.
        listener: told each row's token at each step of a greedy search or a sample; None: nobody.
    """

    prefixes: Sequence[Sequence[int]] = ()
    source_rows: Sequence[Sequence[int]] = ()
    draft_rows: Sequence[Sequence[int]] = ()
    allowed: Allowed | None = None
    listener: Listener | None = None


NO_GUIDE = Guide()
