"""Beam search, with the meaning that transformers gives its settings, in groups or without.

An output that ends among the best K candidates of its source is set aside with its score, the sum
of log-probabilities divided by ``length ** length_penalty``, the length counted without the start
token and what was given. The 2K best candidates are looked at, so that K go on whatever ends.

Groups search one after the other, each for itself, and a token costs a group the diversity penalty
for every beam of the groups before it that took the token in the same step (Vijayakumar et al.
2016, Diverse Beam Search, Hamming diversity). The cost stays in the scores.

Shape legend: B sources, G groups, K beams of a group, M = G * K beams of a source, R = B * M rows
decoded side by side, C = 2K candidates, V vocabulary, L tokens at most, N tokens written so far
(start token included both).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from warmstart.generation.compaction import staying
from warmstart.generation.config import NO_CONSTRAINTS, Constraints, GenerationConfig
from warmstart.generation.hypothesis import Hypothesis, up_to_end
from warmstart.generation.logits import Rules
from warmstart.generation.row_inputs import NO_GUIDE, Guide
from warmstart.generation.topk import best as of_row
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

__all__ = ["Finished", "beam_search"]

_NEVER = float("-inf")
_CACHED_ROWS = 16  # of logits: 2 MB with 30,522 words, which a processor's cache holds


@dataclass(slots=True)
class Candidates:
    """The best continuations of one group, best first. Shape of each: [B, C]"""

    sums: Tensor  # log-probabilities, added
    parents: Tensor  # beams that they continue, counted within the group
    tokens: Tensor
    own: Tensor  # log-probability of the token


class Finished:
    """The best outputs of one group that have ended.

    Attributes:
        scores_BK: best first; minus infinity where there is none yet. Shape: [B, K]
        done_B: whether the search has ended for a source. Shape: [B]
    """

    def __init__(self, beams: int, options: GenerationConfig, given_B: Tensor) -> None:
        """Nothing yet.

        Args:
            beams: K.
            options: length penalty, limit and the rule for the end of the search.
            given_B: tokens of each source's outputs that were given. Shape: [B]
        """
        sources, self._beams, self._options, self._given_B = len(given_B), beams, options, given_B
        self.scores_BK = torch.full((sources, beams), _NEVER, device=given_B.device)
        self.done_B = torch.zeros(sources, dtype=torch.bool, device=given_B.device)
        self._tokens_BKL = given_B.new_zeros((sources, beams, options.max_length))
        self._own_BKL = self.scores_BK.new_zeros(self._tokens_BKL.shape)
        self._lengths_BK = given_B.new_zeros((sources, beams))

    def _scored(self, sums: Tensor, length: int) -> Tensor:
        """Scores of outputs of so many tokens, without the start token. Shape: [B, X] unchanged"""
        own_B1 = (length - self._given_B).clamp_min(1)[:, None].to(sums.dtype)
        return sums / own_B1**self._options.length_penalty

    def add(self, ended_BK: Tensor, sums_BK: Tensor, tokens_BKL: Tensor, own_BKL: Tensor) -> None:
        """Sets outputs aside that end now.

        Args:
            ended_BK: which of them do.
            sums_BK: their log-probabilities, added.
            tokens_BKL: their tokens, with the start token, up to the newest. Shape: [B, K, N]
            own_BKL: the log-probability of each. Shape: [B, K, N]
        """
        length = tokens_BKL.shape[2]
        scores_BK = self._scored(sums_BK, length - 1)
        scores_BK = scores_BK.masked_fill(~ended_BK | self.done_B[:, None], _NEVER)
        both = torch.cat((self.scores_BK, scores_BK), dim=1)
        self.scores_BK, places_BK = both.topk(self._beams)
        lengths = torch.cat((self._lengths_BK, torch.full_like(self._lengths_BK, length)), dim=1)
        self._lengths_BK = lengths.gather(1, places_BK)
        places_BK1 = places_BK[:, :, None].expand(-1, -1, length)
        for held, new in ((self._tokens_BKL, tokens_BKL), (self._own_BKL, own_BKL)):
            merged = torch.cat((held[:, :, :length], new), dim=1)
            held[:, :, :length] = merged.gather(1, places_BK1)

    def update_done(self, best_sum_B: Tensor, length: int) -> None:
        """Decides for which sources the search may end.

        Args:
            best_sum_B: the best sum of log-probabilities among unfinished beams. Shape: [B]
            length: their tokens, without the start token.
        """
        worst_B, options = self.scores_BK[:, -1], self._options
        if options.early_stopping is True:
            self.done_B |= ~worst_B.isneginf()
        if options.early_stopping == "never" and options.length_penalty > 0:
            # A negative sum divided by more is better: the best that a beam could still reach.
            length = options.max_length - 1
        attainable_B = self._scored(best_sum_B[:, None], length)[:, 0]
        # Nothing is worse than no output at all: then only a beam without a future ends.
        self.done_B |= (attainable_B <= worst_B) | best_sum_B.isneginf()

    def keep(self, sources_B: Tensor) -> None:
        """Goes on with some of the sources. Shape: [B]"""
        self._given_B, self.done_B = self._given_B[sources_B], self.done_B[sources_B]
        self.scores_BK, self._lengths_BK = self.scores_BK[sources_B], self._lengths_BK[sources_B]
        self._tokens_BKL, self._own_BKL = self._tokens_BKL[sources_B], self._own_BKL[sources_B]

    def outputs(self, of_B: Tensor, end: int) -> list[list[Hypothesis]]:
        """What was found for the sources where `of_B` is true, best first. Shape: [B, K]"""
        rows = zip(
            self.scores_BK[of_B].tolist(),
            self._tokens_BKL[of_B].tolist(),
            self._own_BKL[of_B].tolist(),
            self._lengths_BK[of_B].tolist(),
            strict=True,
        )
        return [
            [
                _hypothesis(score, tokens[1:length], own[1:length], end)
                for score, tokens, own, length in zip(*row, strict=True)
            ]
            for row in rows
        ]


def beam_search(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationConfig,
    constraints: Constraints = NO_CONSTRAINTS,
    guide: Guide = NO_GUIDE,
) -> list[list[Hypothesis]]:
    """Keeps the likeliest beginnings of each output.

    Args:
        model: in evaluation mode.
        source: B sources.
        special: start and end token.
        options: all but sampling's are looked at.
        constraints: what the model asks for.
        guide: what the call and its texts ask for.

    Returns:
        The best `num_return_sequences` outputs of each source, best first. Shape: [B, ...]
    """
    sources, beams, groups = len(source.lengths), options.num_beams, options.num_beam_groups
    device, size = source.tokens.device, options.num_beams // options.num_beam_groups
    rules = Rules(
        special.end,
        options,
        constraints,
        guide,
        sources=sources,
        rows=beams,
        beams=True,
        device=device,
    )
    cache = model.start(source, options.max_length, beams)
    given_B = rules.prefix_lengths()[::beams]
    found = [Finished(size, options, given_B) for _ in range(groups)]
    written_RL = source.tokens.new_full((sources * beams, options.max_length), special.start)
    own_RL = torch.zeros(written_RL.shape, device=device)
    # All beams of a group start equal, so only the first counts in the first step.
    sums_BGK = torch.full((sources, groups, size), _NEVER, device=device)
    sums_BGK[:, :, 0] = 0.0
    rows_BGK = torch.arange(sources * beams, device=device).view(sources, groups, size)
    outputs: list[list[Hypothesis]] = [[] for _ in range(sources)]
    held_B = torch.arange(sources, device=device)  # sources that are still searched for
    length = 1
    while True:
        logits_R1V = model.step(written_RL[:, length - 1 : length], cache)
        logs_RV = _normalised(logits_R1V[:, -1].float())
        written_RN = written_RL[:, :length]
        parents, tokens, own = [], [], []
        taken_BV: Tensor | None = None
        for group in range(groups):
            rows_R = rows_BGK[:, group].flatten()
            if groups == 1:
                scores_RV = rules.apply(logs_RV, written_RN)
            else:
                scores_RV = logs_RV[rows_R]
                if taken_BV is not None:
                    cost_BV = options.diversity_penalty * taken_BV
                    scores_RV = scores_RV - cost_BV.repeat_interleave(size, dim=0)
                scores_RV = rules.apply(scores_RV, written_RN[rows_R], rows_R)
            best = _best(sums_BGK[:, group], scores_RV)
            was_done_B = found[group].done_B.clone()
            _set_aside(found[group], best, rows_R, written_RN, own_RL, special.end, options)
            best = _going_on(best, special.end)
            sums_BGK[:, group] = best.sums
            found[group].update_done(best.sums[:, 0], length)
            parents.append(rows_BGK[:, group].gather(1, best.parents))
            tokens.append(best.tokens)
            own.append(best.own)
            if groups > 1:
                taken_BV = _count(taken_BV, best.tokens, was_done_B, logs_RV.shape[1])
        del logits_R1V, logs_RV, scores_RV  # before the next are made
        done_B = torch.stack([group.done_B for group in found]).all(0)
        if length + 1 == options.max_length or bool(done_B.all()):
            _hand_over(outputs, held_B, found, torch.ones_like(done_B), special.end, options)
            return outputs
        parents_R, tokens_R = torch.stack(parents, 1).flatten(), torch.stack(tokens, 1).flatten()
        newest = _newest(written_RN, parents_R)
        written_RL[:, :length] = written_RN[parents_R]
        own_RL[:, :length] = own_RL[:, :length][parents_R]
        written_RL[:, length] = tokens_R
        own_RL[:, length] = torch.stack(own, 1).flatten()
        rules.advance(tokens_R, parents_R)
        cache.reorder(parents_R, newest)
        length += 1
        stays_B = staying(done_B)
        if stays_B is None:
            continue
        _hand_over(outputs, held_B, found, done_B, special.end, options)
        rows_R = rows_BGK[stays_B].flatten()
        written_RL, own_RL = written_RL[rows_R], own_RL[rows_R]
        sums_BGK, held_B = sums_BGK[stays_B], held_B[stays_B]
        rows_BGK = torch.arange(len(rows_R), device=device).view(-1, groups, size)
        rules.keep(stays_B)
        cache.keep(stays_B)
        for ended in found:
            ended.keep(stays_B)


def _normalised(logits_RV: Tensor) -> Tensor:
    """Log-probabilities, in the logits' own memory: there is no room in a cache for another."""
    for start in range(0, len(logits_RV), _CACHED_ROWS):
        rows = logits_RV[start : start + _CACHED_ROWS]
        rows.copy_(rows.log_softmax(-1))
    return logits_RV


def _newest(written_RN: Tensor, parents_R: Tensor) -> int:
    """How many of the last tokens of some row are others than its parent's, at most."""
    differ_N = (written_RN != written_RN[parents_R]).any(0)
    return int(differ_N.flip(0).nonzero().max()) + 1 if bool(differ_N.any()) else 0


def _best(sums_BK: Tensor, scores_RV: Tensor) -> Candidates:
    """The 2K best continuations of each source."""
    sources, beams = sums_BK.shape
    # Of each beam first: adding the sums to whole vocabularies would cost more than this.
    width = min(2 * beams, scores_RV.shape[1])
    own_RW, tokens_RW = of_row(scores_RV, width)
    sums_BX = (sums_BK.reshape(-1, 1) + own_RW).view(sources, -1)
    sums_BC, places_BC = sums_BX.topk(2 * beams)
    own_BX, tokens_BX = own_RW.view(sources, -1), tokens_RW.view(sources, -1)
    return Candidates(
        sums_BC, places_BC // width, tokens_BX.gather(1, places_BC), own_BX.gather(1, places_BC)
    )


def _set_aside(
    found: Finished,
    best: Candidates,
    rows_R: Tensor,
    written_RN: Tensor,
    own_RL: Tensor,
    end: int,
    options: GenerationConfig,
) -> None:
    """Keeps what ends among the K best, with the end token or at the limit."""
    sources, beams = found.scores_BK.shape
    length = written_RN.shape[1]
    tokens_BK = best.tokens[:, :beams]
    ended_BK = tokens_BK == end
    if length + 1 == options.max_length:
        ended_BK = torch.ones_like(ended_BK)
    elif not bool(ended_BK.any()):
        return
    parents_R = rows_R.view(sources, beams).gather(1, best.parents[:, :beams]).flatten()
    tokens = written_RN[parents_R].view(sources, beams, length)
    own = own_RL[:, :length][parents_R].view(sources, beams, length)
    found.add(
        ended_BK,
        best.sums[:, :beams],
        torch.cat((tokens, tokens_BK[:, :, None]), dim=2),
        torch.cat((own, best.own[:, :beams, None]), dim=2),
    )


def _going_on(best: Candidates, end: int) -> Candidates:
    """The K best that do not end. Each beam ends in one way, so there are as many."""
    beams = best.tokens.shape[1] // 2
    # A stable sort keeps the best first, and puts what ends behind.
    order_BK = (best.tokens == end).to(torch.int8).argsort(dim=1, stable=True)[:, :beams]
    sums, parents, tokens, own = (
        part.gather(1, order_BK) for part in (best.sums, best.parents, best.tokens, best.own)
    )
    return Candidates(sums, parents, tokens, own)


def _count(taken_BV: Tensor | None, tokens_BK: Tensor, done_B: Tensor, words: int) -> Tensor:
    """Adds how many beams took each token; a group that was done takes none. Shape: [B, V]"""
    if taken_BV is None:
        taken_BV = torch.zeros((len(tokens_BK), words), device=tokens_BK.device)
    ones_BK = (~done_B).to(taken_BV.dtype)[:, None].expand_as(tokens_BK)
    return taken_BV.scatter_add(1, tokens_BK, ones_BK)


def _hand_over(
    outputs: list[list[Hypothesis]],
    held_B: Tensor,
    found: list[Finished],
    gone_B: Tensor,
    end: int,
    options: GenerationConfig,
) -> None:
    """Writes down the best of all groups for sources whose search has ended."""
    by_source = zip(*(group.outputs(gone_B, end) for group in found), strict=True)
    for place, groups in zip(held_B[gone_B].tolist(), by_source, strict=True):
        of_source = [output for group in groups for output in group]
        outputs[place] = sorted(of_source, key=lambda output: -output.score)[
            : options.num_return_sequences
        ]


def _hypothesis(score: float, tokens: list[int], own: list[float], end: int) -> Hypothesis:
    if score == _NEVER:  # there were fewer outputs than beams
        return Hypothesis(tokens=[], score=score, token_scores=[])
    tokens = up_to_end(tokens, end)
    return Hypothesis(tokens=tokens, score=score, token_scores=own[: len(tokens)])
