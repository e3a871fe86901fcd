"""The loop of greedy search and sampling: one token after the other, each output by itself.

Shape legend: B sources, R rows (B times the outputs of each), L tokens at most, start token
included, V vocabulary.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from warmstart.generation.compaction import unfinished
from warmstart.generation.hypothesis import Hypothesis, hypotheses
from warmstart.generation.row_inputs import RowInputs
from warmstart.generation.search import Search
from warmstart.model.sequences import Sequences

__all__ = ["Choose", "write_tokens"]

# Processed scores, the rows that they belong to, and the number of tokens so far -> the scores
# that are chosen from, and the tokens.
Choose: TypeAlias = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


def write_tokens(
    search: Search, source: Sequences, inputs: RowInputs, choose: Choose, *, copies: int = 1
) -> list[list[Hypothesis]]:
    """Writes outputs token by token.

    Args:
        search: the beams of its config are ignored.
        source: B sources.
        inputs: of the batch.
        choose: picks each token.
        copies: outputs of each source.

    Returns:
        Shape: [B, copies]
    """
    sources, device, config = len(source.lengths), source.tokens.device, search.config
    processor = search.processor(source, inputs, copies=copies)
    cache = search.model.start(source, config.max_length, copies)
    tokens_RL = source.tokens.new_full((sources * copies, config.max_length), search.special.start)
    log_probs_RL = torch.zeros(tokens_RL.shape, device=device) if search.scored else None
    prefix_lengths_R = processor.prefix_lengths()
    finished_R = torch.zeros(sources * copies, dtype=torch.bool, device=device)
    active_R = torch.arange(sources * copies, device=device)  # rows that the cache still holds
    length = 1
    while True:
        logits_R1V = search.model.step(tokens_RL[active_R, length - 1 : length], cache)
        processor.check(logits_R1V[:, -1], length)
        # In float32: bfloat16 scores over a whole vocabulary tie.
        scores_RV = processor.apply(logits_R1V[:, -1].float(), tokens_RL[active_R, :length])
        scores_RV, newest_R = choose(scores_RV, active_R, length)
        tokens_RL[active_R, length] = newest_R
        if log_probs_RL is not None:
            log_probs_R1 = scores_RV.log_softmax(-1).gather(1, newest_R[:, None])
            log_probs_RL[active_R, length] = log_probs_R1[:, 0]
        processor.advance(newest_R)
        if inputs.on_step is not None:
            inputs.on_step(newest_R.tolist())
        finished_R[active_R] |= newest_R == search.special.end
        length += 1
        done_B = finished_R[active_R].view(-1, copies).all(1)
        if length == config.max_length or done_B.all():
            break
        stays_B = unfinished(done_B)
        if stays_B is not None:
            active_R = active_R.view(-1, copies)[stays_B].flatten()
            processor.keep(stays_B)
            cache.keep(stays_B)
    outputs = hypotheses(
        tokens_RL[:, :length],
        search.special.end,
        config.length_penalty,
        log_probs_RL,
        prefix_lengths_R,
    )
    return [outputs[first : first + copies] for first in range(0, len(outputs), copies)]
