"""Decoded outputs in token ids.

Shape legend: R rows, L tokens of the longest, start token included.
"""

import math
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Hypothesis", "hypotheses", "hypothesis", "up_to_end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """An output.

    Attributes:
        tokens: without the start token and up to the end token.
        score: the sum of the token scores over ``length ** length_penalty``, where the length
            excludes the prefix; minus infinity for a missing output; nan without scores.
        token_scores: each token's log-probability after all processing, 0 within the prefix; empty
            without scores.
        steps: steps of the model that it took; None: one for each token.
    """

    tokens: list[int]
    score: float = math.nan
    token_scores: list[float]
    steps: int | None = None


def hypotheses(
    tokens_RL: Tensor,
    end: int,
    length_penalty: float,
    log_probs_RL: Tensor | None,
    prefix_lengths_R: Tensor,
) -> list[Hypothesis]:
    """Outputs from rows of tokens that begin with the start token.

    Args:
        tokens_RL: the rows. Shape: [R, L]
        end: the end token; anything after it is dropped.
        length_penalty: see `Hypothesis.score`.
        log_probs_RL: log-probability of each token; None: no scores. Shape: [R, L]
        prefix_lengths_R: tokens of each row's prefix, without the start token. Shape: [R]
    """
    rows = [up_to_end(row, end) for row in tokens_RL[:, 1:].tolist()]
    if log_probs_RL is None:
        return [Hypothesis(tokens=row, token_scores=[]) for row in rows]
    return [
        hypothesis(row, scores[: len(row)], prefix_length, length_penalty)
        for row, scores, prefix_length in zip(
            rows, log_probs_RL[:, 1:].tolist(), prefix_lengths_R.tolist(), strict=True
        )
    ]


def hypothesis(
    tokens: list[int],
    scores: list[float],
    prefix_length: int,
    length_penalty: float,
    steps: int | None = None,
) -> Hypothesis:
    """A scored output.

    Args:
        tokens: see `Hypothesis`.
        scores: log-probability of each.
        prefix_length: tokens of the prefix.
        length_penalty: see `Hypothesis.score`.
        steps: see `Hypothesis`.
    """
    score = sum(scores) / max(len(tokens) - prefix_length, 1) ** length_penalty
    return Hypothesis(tokens=tokens, score=score, token_scores=scores, steps=steps)


def up_to_end(tokens: list[int], end: int) -> list[int]:
    """Cuts after the first end token."""
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens
