"""Changes to the scores of the next token, the same for greedy and beam search.

Shape legend: R rows decoded side by side, N tokens written so far (start token included),
V vocabulary.
"""

from torch import Tensor

from warmstart.generation.options import Constraints, GenerationOptions

__all__ = ["NONE", "constrain"]

NONE = Constraints()


def constrain(
    scores_RV: Tensor,
    written: list[list[int]],
    end: int,
    options: GenerationOptions,
    constraints: Constraints = NONE,
) -> Tensor:
    """Forbids what options and constraints forbid, by minus infinity; what is forced is certain.

    Args:
        scores_RV: scores of the next token; changed in place. Shape: [R, V]
        written: tokens of each row so far, the start token first. Shape: [R, N]
        end: id of the end token, forbidden before `min_length`.
        options: `min_length`, `max_length` and `no_repeat_ngram_size` are looked at.
        constraints: what the model asks for.

    Returns:
        The same tensor, or a new one if it is made to sum to one again.
    """
    if len(written[0]) < options.min_length:
        scores_RV[:, end] = float("-inf")
    if options.no_repeat_ngram_size:
        for row, tokens in enumerate(written):
            banned = _completions(tokens, options.no_repeat_ngram_size)
            scores_RV[row, banned] = float("-inf")
    for *before, last in constraints.bad_words_ids:
        if (*before, last) == (end,):
            continue  # an output must be able to end
        rows = [row for row, tokens in enumerate(written) if tokens[-len(before) :] == before]
        scores_RV[rows if before else slice(None), last] = float("-inf")
    forced = _forced(len(written[0]), options, constraints)
    if forced is not None:
        scores_RV.fill_(float("-inf"))
        scores_RV[:, forced] = 0.0
    return scores_RV.log_softmax(-1) if constraints.renormalize_logits else scores_RV


def _forced(written: int, options: GenerationOptions, constraints: Constraints) -> int | None:
    """The one token that may follow; the last token goes before the first."""
    if written == options.max_length - 1 and constraints.forced_eos_token_id is not None:
        return constraints.forced_eos_token_id
    return constraints.forced_bos_token_id if written == 1 else None


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
