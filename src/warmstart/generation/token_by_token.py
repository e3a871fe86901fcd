"""Greedy search and sampling: one token after the other, each output by itself.

Shape legend: B sources, R rows (B times the outputs of each), L tokens at most, start token
included, V vocabulary.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from warmstart.generation.compaction import staying
from warmstart.generation.config import NO_CONSTRAINTS, Constraints, GenerationConfig
from warmstart.generation.hypothesis import Hypothesis, hypotheses
from warmstart.generation.logits import Rules
from warmstart.generation.row_inputs import NO_GUIDE, Guide
from warmstart.generation.sampling import draw, narrow, uniform_numbers
from warmstart.generation.topk import likeliest
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

__all__ = ["greedy_search", "sample"]

# Scores as the choice sees them and the chosen tokens, of the scores, the rows that they are of,
# and how many tokens there are.
_Choose: TypeAlias = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


def greedy_search(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationConfig,
    constraints: Constraints = NO_CONSTRAINTS,
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

    def choose(scores_RV: Tensor, _rows: Tensor, _written: int) -> tuple[Tensor, Tensor]:
        return scores_RV, likeliest(scores_RV)

    return _write(
        model, source, special, options, constraints, guide, choose, rows=1, scored=scored
    )


def sample(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationConfig,
    constraints: Constraints = NO_CONSTRAINTS,
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

    def drawn(scores_RV: Tensor, rows_R: Tensor, written: int) -> tuple[Tensor, Tensor]:
        scores_RV = narrow(scores_RV, options)
        return scores_RV, draw(scores_RV, uniform_RL[rows_R, written])

    return _write(
        model, source, special, options, constraints, guide, drawn, rows=rows, scored=scored
    )


def _write(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationConfig,
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
    given_R = rules.prefix_lengths()
    finished_R = torch.zeros(sources * rows, dtype=torch.bool, device=device)
    active_R = torch.arange(sources * rows, device=device)  # rows that the cache still holds
    length = 1
    while True:
        logits_R1V = model.step(written_RL[active_R, length - 1 : length], cache)
        # In float32: bfloat16 scores over a whole vocabulary tie.
        scores_RV = rules.apply(logits_R1V[:, -1].float(), written_RL[active_R, :length])
        scores_RV, tokens_R = choose(scores_RV, active_R, length)
        written_RL[active_R, length] = tokens_R
        if scores_RL is not None:
            own_R1 = scores_RV.log_softmax(-1).gather(1, tokens_R[:, None])
            scores_RL[active_R, length] = own_R1[:, 0]
        rules.advance(tokens_R)
        if guide.listener is not None:
            guide.listener(tokens_R.tolist())
        finished_R[active_R] |= tokens_R == special.end
        length += 1
        done_B = finished_R[active_R].view(-1, rows).all(1)
        if length == options.max_length or done_B.all():
            break
        stays_B = staying(done_B)
        if stays_B is not None:
            active_R = active_R.view(-1, rows)[stays_B].flatten()
            rules.keep(stays_B)
            cache.keep(stays_B)
    found = hypotheses(
        written_RL[:, :length], special.end, options.length_penalty, scores_RL, given_R
    )
    return [found[first : first + rows] for first in range(0, len(found), rows)]
