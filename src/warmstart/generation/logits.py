"""Changes to the scores of the next token, the same for greedy and beam search.

Shape legend: R rows decoded side by side, N tokens written so far (start token included),
V vocabulary.
"""

from torch import Tensor

from warmstart.generation.options import GenerationOptions

__all__ = ["constrain"]


def constrain(
    scores_RV: Tensor, written: list[list[int]], end: int, options: GenerationOptions
) -> Tensor:
    """Forbids what the options forbid, by minus infinity.

    Args:
        scores_RV: scores of the next token; changed in place. Shape: [R, V]
        written: tokens of each row so far, the start token first. Shape: [R, N]
        end: id of the end token, forbidden before `min_length`.
        options: `min_length` and `no_repeat_ngram_size` are looked at.

    Returns:
        The same tensor.
    """
    if len(written[0]) < options.min_length:
        scores_RV[:, end] = float("-inf")
    if options.no_repeat_ngram_size:
        for row, tokens in enumerate(written):
            banned = _completions(tokens, options.no_repeat_ngram_size)
            scores_RV[row, banned] = float("-inf")
    return scores_RV


def _completions(tokens: list[int], size: int) -> list[int]:
    """Tokens that would complete an n-gram that is there already."""
    if len(tokens) + 1 < size:
        return []
    prefix = tokens[len(tokens) - size + 1 :]
    return [
        tokens[start + size - 1]
        for start in range(len(tokens) - size + 1)
        if tokens[start : start + size - 1] == prefix
    ]
