"""Weights of the labels in the loss, by example and by whether a label is an edit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from warmstart.data.example import Example
from warmstart.data.stored import weights_of
from warmstart.errors import UsageError
from warmstart.text.tokenizer_pair import TokenizerPair

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

__all__ = ["LabelWeights"]


class LabelWeights:
    """Weights of the labels of examples.

    A label's weight is that of its example, times `edit_weight` if the source does not have the
    token: where most of a text is copied, the few other tokens are the ones to learn (the
    edit-weighted MLE of Junczys-Dowmunt et al. 2018, where tokens are aligned). An end token is
    never an edit.

    Args:
        tokenizers: of sources and targets.
        examples: with their weights.
        edit_weight: 1: off.

    Raises:
        UsageError: if every example has weight 0, or an edit weight would have to compare the
            tokens of two tokenizers.
    """

    def __init__(
        self, tokenizers: TokenizerPair, examples: Sequence[Example], edit_weight: float
    ) -> None:
        self.edit_weight = edit_weight
        self.end = tokenizers.special.end
        weights: NDArray[numpy.float64] = weights_of(examples)
        if not weights.any():
            raise UsageError(
                "Every training example has weight 0; give some of them a weight above 0."
            )
        self.by_example = None if (weights == 1).all() else weights.astype("float32")
        if edit_weight != 1 and tokenizers.source is not tokenizers.target:
            raise UsageError(
                f"edit_weight is {edit_weight}, but sources and targets have different "
                "tokenizers, so copied tokens cannot be identified; set it to 1."
            )

    def of(self, index: int, source: list[int], labels: list[int]) -> list[float] | None:
        """The weights of an example's labels; None: all 1."""
        weight = 1.0 if self.by_example is None else float(self.by_example[index])
        if self.edit_weight != 1:
            kept = {*source, self.end}
            edited = weight * self.edit_weight
            return [weight if label in kept else edited for label in labels]
        return None if weight == 1 else [weight] * len(labels)
