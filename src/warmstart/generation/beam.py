"""Beam search, with the meaning that transformers gives its settings.

Shape legend: B sources, K beams, V vocabulary, N tokens written so far (start token included).

A hypothesis that ends among a source's best K candidates is set aside with its score, the sum of
log-probabilities divided by ``length ** length_penalty``, the length counted without the start
token. The 2K best candidates are looked at, so that K go on whatever ends.
"""

import torch
from torch import Tensor

from warmstart.generation.greedy import up_to_end
from warmstart.generation.logits import NONE, constrain
from warmstart.generation.options import Constraints, GenerationOptions
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

__all__ = ["beam_search"]


_Candidate = tuple[float, int, int]  # log-probability, row it continues, token


class _Hypotheses:
    """The best finished outputs of one source."""

    def __init__(self, options: GenerationOptions) -> None:
        self.options = options
        self.best: list[tuple[float, list[int]]] = []  # best first
        self.done = False

    def add(self, log_probability: float, tokens: list[int]) -> None:
        """Sets an output aside; tokens are counted without the start token."""
        score = log_probability / len(tokens) ** self.options.length_penalty
        self.best.append((score, tokens))
        self.best.sort(key=lambda scored: -scored[0])
        del self.best[self.options.num_beams :]

    def update_done(self, best_running: float, length: int) -> None:
        """Decides whether the search for this source may end.

        Args:
            best_running: the best log-probability among unfinished beams.
            length: their tokens, without the start token.
        """
        if self.done or len(self.best) < self.options.num_beams:
            return
        if self.options.early_stopping is True:
            self.done = True
            return
        if self.options.early_stopping == "never" and self.options.length_penalty > 0:
            # A negative sum divided by more is better: the best that a beam could still reach.
            length = self.options.max_length - 1
        attainable = best_running / length**self.options.length_penalty
        self.done = attainable <= self.best[-1][0]


def beam_search(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationOptions,
    constraints: Constraints = NONE,
) -> list[list[int]]:
    """Keeps the K likeliest beginnings of each output.

    Args:
        model: in evaluation mode.
        source: B sources.
        special: start and end token.
        options: all of them.
        constraints: what the model asks for.

    Returns:
        The best output of each source, without the start token and up to the end token.
        Shape: [B, ...]
    """
    sources, beams = len(source.lengths), options.num_beams
    cache = model.start(source, options.max_length, beams)
    hypotheses = [_Hypotheses(options) for _ in range(sources)]
    written = [[special.start] for _ in range(sources * beams)]
    # All beams of a source start equal, so only the first counts in the first step.
    running_BK = torch.full((sources, beams), -1e9, device=source.tokens.device)
    running_BK[:, 0] = 0.0
    tokens_R1 = source.tokens.new_full((sources * beams, 1), special.start)
    while True:
        scores_RV = model.step(tokens_R1, cache)[:, -1].float().log_softmax(-1)
        scores_RV = constrain(scores_RV, written, special.end, options, constraints)
        going = [
            going
            for hypothesis, candidates in zip(
                hypotheses, _best_candidates(running_BK, scores_RV), strict=True
            )
            for going in _advance(hypothesis, candidates, written, special.end)
        ]
        written = [[*written[row], token] for _, row, token in going]
        running_BK = running_BK.new_tensor([score for score, _, _ in going]).view(sources, beams)
        for hypothesis, best in zip(hypotheses, running_BK[:, 0].tolist(), strict=True):
            hypothesis.update_done(best, len(written[0]) - 1)
        if len(written[0]) == options.max_length or all(found.done for found in hypotheses):
            return [up_to_end(found.best[0][1], special.end) for found in hypotheses]
        cache.reorder(source.tokens.new_tensor([row for _, row, _ in going]))
        tokens_R1 = source.tokens.new_tensor([[token] for _, _, token in going])


def _best_candidates(running_BK: Tensor, scores_RV: Tensor) -> list[list[_Candidate]]:
    """The 2K best continuations of each source, best first."""
    sources, beams = running_BK.shape
    vocabulary = scores_RV.shape[1]
    scores_BX = (running_BK.view(-1, 1) + scores_RV).view(sources, -1)
    scores_BC, indices_BC = scores_BX.topk(2 * beams)
    return [
        [
            (score, source * beams + index // vocabulary, index % vocabulary)
            for score, index in zip(scores, indices, strict=True)
        ]
        for source, (scores, indices) in enumerate(
            zip(scores_BC.tolist(), indices_BC.tolist(), strict=True)
        )
    ]


def _advance(
    hypotheses: _Hypotheses, candidates: list[_Candidate], written: list[list[int]], end: int
) -> list[_Candidate]:
    """Sets aside what ends among the K best, and returns the K best that go on."""
    beams = hypotheses.options.num_beams
    last = len(written[0]) + 1 == hypotheses.options.max_length
    for score, row, token in candidates[:beams]:
        if (token == end or last) and not hypotheses.done:
            hypotheses.add(score, [*written[row][1:], token])
    going = [candidate for candidate in candidates if candidate[2] != end]
    return going[:beams]
