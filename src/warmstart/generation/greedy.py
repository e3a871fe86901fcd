"""Greedy search.

Shape legend: B sources, R rows decoded side by side, V vocabulary.
"""

from torch import Tensor

from warmstart.generation.hypothesis import Hypothesis
from warmstart.generation.row_inputs import NO_INPUTS, RowInputs
from warmstart.generation.search import Search
from warmstart.generation.token_by_token import write_tokens
from warmstart.generation.topk import argmax
from warmstart.model.sequences import Sequences

__all__ = ["greedy_search"]


def greedy_search(
    search: Search, source: Sequences, inputs: RowInputs = NO_INPUTS
) -> list[list[Hypothesis]]:
    """Writes the likeliest token, one after the other.

    Args:
        search: the beams of its config are ignored.
        source: B sources.
        inputs: of the batch.

    Returns:
        One output of each source. Shape: [B, 1]
    """

    def choose(scores_RV: Tensor, _rows_R: Tensor, _length: int) -> tuple[Tensor, Tensor]:
        return scores_RV, argmax(scores_RV)

    return write_tokens(search, source, inputs, choose)
