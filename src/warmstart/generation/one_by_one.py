"""Greedy search and sampling: one token after the other, each output by itself.

Shape legend: B sources, R rows (B times the outputs of each), L tokens at most, start token
included, V vocabulary.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from warmstart.generation.guide import NO_GUIDE, Guide
from warmstart.generation.hypothesis import Hypothesis, hypotheses
from warmstart.generation.logits import NONE, Rules
from warmstart.generation.options import Constraints, GenerationOptions
from warmstart.generation.sampling import draw, narrow, uniform_numbers
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

__all__ = ["greedy_search", "sample"]

# Scores as the choice sees them and the chosen tokens, of the scores and the tokens so far.
_Choose: TypeAlias = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def greedy_search(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationOptions,
    constraints: Constraints = NONE,
    guide: Guide = NO_GUIDE,
    *,
    scored: bool = False,
) -> list[list[Hypothesis]]:
    """Writes the likeliest token, one after the other.

    Args:
        model: in evaluation mode.
        source: B sources.
        special: start and end token.
        options: `num_beams` is not looked at.
        constraints: what the model asks for.
        guide: what the call and its texts ask for.
        scored: whether scores are asked for.

    Returns:
        One output of each source. Shape: [B, 1]
    """

    def likeliest(scores_RV: Tensor, _: int) -> tuple[Tensor, Tensor]:
        return scores_RV, scores_RV.argmax(-1)

    return _write(
        model, source, special, options, constraints, guide, likeliest, rows=1, scored=scored
    )


def sample(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationOptions,
    constraints: Constraints = NONE,
    guide: Guide = NO_GUIDE,
    *,
    scored: bool = False,
) -> list[list[Hypothesis]]:
    """Draws tokens by their probability, one after the other.

    What is drawn for a source depends on the seed and on the source's tokens alone. Arguments as
    `greedy_search`.

    Returns:
        `num_return_sequences` outputs of each source. Shape: [B, ...]
    """
    rows = options.num_return_sequences
    uniform_RL = uniform_numbers(source, rows, options.max_length, options.seed)

    def drawn(scores_RV: Tensor, written: int) -> tuple[Tensor, Tensor]:
        scores_RV = narrow(scores_RV, options)
        return scores_RV, draw(scores_RV, uniform_RL[:, written])

    return _write(
        model, source, special, options, constraints, guide, drawn, rows=rows, scored=scored
    )


def _write(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationOptions,
    constraints: Constraints,
    guide: Guide,
    choose: _Choose,
    *,
    rows: int,
    scored: bool,
) -> list[list[Hypothesis]]:
    sources, device = len(source.lengths), source.tokens.device
    rules = Rules(
        special.end, options, constraints, guide, sources=sources, rows=rows, device=device
    )
    cache = model.start(source, options.max_length, rows)
    written_RL = source.tokens.new_full((sources * rows, options.max_length), special.start)
    scores_RL = torch.zeros(written_RL.shape, device=device) if scored else None
    finished_R = torch.zeros(sources * rows, dtype=torch.bool, device=device)
    length = 1
    while length < options.max_length:
        logits_R1V = model.step(written_RL[:, length - 1 : length], cache)
        # In float32: bfloat16 scores over a whole vocabulary tie.
        scores_RV = rules.apply(logits_R1V[:, -1].float(), written_RL[:, :length])
        scores_RV, tokens_R = choose(scores_RV, length)
        written_RL[:, length] = tokens_R
        if scores_RL is not None:
            own_R1 = scores_RV.log_softmax(-1).gather(1, tokens_R[:, None])
            scores_RL[:, length] = own_R1[:, 0]
        rules.advance(tokens_R)
        finished_R |= tokens_R == special.end
        length += 1
        if finished_R.all():
            break
    given_R = rules.prefix_lengths()
    found = hypotheses(
        written_RL[:, :length], special.end, options.length_penalty, scores_RL, given_R
    )
    return [found[first : first + rows] for first in range(0, len(found), rows)]
