"""An output as decoding finds it, in token ids.

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
            counts what was not given; minus infinity for an output that there is not; nan where
            scores were not asked for.
        token_scores: each token's log-probability after all rules, and 0 of tokens that were
            given; empty where scores were not asked for.
        steps: steps of the model that it took; None: one for each token.
    """

    tokens: list[int]
    score: float = math.nan
    token_scores: list[float]
    steps: int | None = None


def hypotheses(
    written_RL: Tensor,
    end: int,
    length_penalty: float,
    scores_RL: Tensor | None,
    given_R: Tensor,
) -> list[Hypothesis]:
    """Outputs from rows of tokens that begin with the start token.

    Args:
        written_RL: the rows. Shape: [R, L]
        end: the end token, behind which nothing counts.
        length_penalty: see `Hypothesis.score`.
        scores_RL: log-probability of each token; None: not asked for. Shape: [R, L]
        given_R: tokens of each row that were given, the start token not counted. Shape: [R]
    """
    rows = [up_to_end(row, end) for row in written_RL[:, 1:].tolist()]
    if scores_RL is None:
        return [Hypothesis(tokens=row, token_scores=[]) for row in rows]
    return [
        hypothesis(row, scores[: len(row)], given, length_penalty)
        for row, scores, given in zip(
            rows, scores_RL[:, 1:].tolist(), given_R.tolist(), strict=True
        )
    ]


def hypothesis(
    tokens: list[int],
    scores: list[float],
    given: int,
    length_penalty: float,
    steps: int | None = None,
) -> Hypothesis:
    """A scored output.

    Args:
        tokens: as `Hypothesis` holds them.
        scores: log-probability of each.
        given: how many of the tokens were given.
        length_penalty: see `Hypothesis.score`.
        steps: as `Hypothesis` holds them.
    """
    score = sum(scores) / max(len(tokens) - given, 1) ** length_penalty
    return Hypothesis(tokens=tokens, score=score, token_scores=scores, steps=steps)


def up_to_end(tokens: list[int], end: int) -> list[int]:
    """Cuts behind the first end token."""
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens
