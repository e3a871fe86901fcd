"""Beam search, with transformers' meaning of its settings, in groups or without.

An output that ends among the best K candidates of its source is collected with its score, the sum
of log-probabilities divided by ``length ** length_penalty``, where the length excludes the start
token and the prefix. The 2K best candidates are considered, so that K continue whatever ends.

Groups search one after the other, each for itself, and a token costs a group the diversity penalty
for every beam of the groups before it that took the token in the same step (Vijayakumar et al.
2016, Diverse Beam Search, Hamming diversity). The cost stays in the scores.

Shape legend: B sources, G groups, K beams of a group, M = G * K beams of a source, R = B * M rows
decoded side by side, C = 2K candidates, V vocabulary, L tokens at most, N tokens so far (start
token included both).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from warmstart.generation.compaction import unfinished
from warmstart.generation.generation_config import GenerationConfig
from warmstart.generation.hypothesis import Hypothesis, up_to_end
from warmstart.generation.row_inputs import NO_INPUTS, RowInputs
from warmstart.generation.search import Search
from warmstart.generation.topk import topk
from warmstart.model.sequences import Sequences

__all__ = ["Finished", "beam_search"]

_NEVER = float("-inf")
_CACHED_ROWS = 16  # of logits: 2 MB with 30,522 tokens, which a processor's cache holds


@dataclass(slots=True)
class Candidates:
    """The best continuations of one group, best first. Shape of each: [B, C]"""

    sums: Tensor  # sum of log-probabilities
    parents: Tensor  # beams that they continue, counted within the group
    tokens: Tensor
    log_probs: Tensor  # of the token


class Finished:
    """The best finished outputs of one group.

    Attributes:
        scores_BK: best first; minus infinity for missing ones. Shape: [B, K]
        done_B: whether the search has ended for a source. Shape: [B]
    """

    def __init__(self, beams: int, config: GenerationConfig, prefix_lengths_B: Tensor) -> None:
        """Starts empty.

        Args:
            beams: K.
            config: length penalty, length limit and early stopping.
            prefix_lengths_B: tokens of each source's prefix. Shape: [B]
        """
        self._beams, self._config, self._prefix_lengths_B = beams, config, prefix_lengths_B
        sources, device = len(prefix_lengths_B), prefix_lengths_B.device
        self.scores_BK = torch.full((sources, beams), _NEVER, device=device)
        self.done_B = torch.zeros(sources, dtype=torch.bool, device=device)
        self._tokens_BKL = prefix_lengths_B.new_zeros((sources, beams, config.max_length))
        self._log_probs_BKL = self.scores_BK.new_zeros(self._tokens_BKL.shape)
        self._lengths_BK = prefix_lengths_B.new_zeros((sources, beams))

    def _scored(self, sums_BX: Tensor, length: int) -> Tensor:
        """Scores of outputs of `length` tokens, without the start token. Shape: unchanged"""
        lengths_B1 = (length - self._prefix_lengths_B).clamp_min(1)[:, None].to(sums_BX.dtype)
        return sums_BX / lengths_B1**self._config.length_penalty

    def add(
        self, ended_BK: Tensor, sums_BK: Tensor, tokens_BKN: Tensor, log_probs_BKN: Tensor
    ) -> None:
        """Adds outputs that end now.

        Args:
            ended_BK: marks them.
            sums_BK: the sums of their log-probabilities.
            tokens_BKN: their tokens, from the start token to the newest. Shape: [B, K, N]
            log_probs_BKN: the log-probability of each. Shape: [B, K, N]
        """
        length = tokens_BKN.shape[2]
        scores_BK = self._scored(sums_BK, length - 1)
        scores_BK = scores_BK.masked_fill(~ended_BK | self.done_B[:, None], _NEVER)
        both = torch.cat((self.scores_BK, scores_BK), dim=1)
        self.scores_BK, indices_BK = both.topk(self._beams)
        lengths = torch.cat((self._lengths_BK, torch.full_like(self._lengths_BK, length)), dim=1)
        self._lengths_BK = lengths.gather(1, indices_BK)
        indices_BKN = indices_BK[:, :, None].expand(-1, -1, length)
        for held, new in ((self._tokens_BKL, tokens_BKN), (self._log_probs_BKL, log_probs_BKN)):
            merged = torch.cat((held[:, :, :length], new), dim=1)
            held[:, :, :length] = merged.gather(1, indices_BKN)

    def update_done(self, best_sum_B: Tensor, length: int) -> None:
        """Decides for which sources the search ends.

        Args:
            best_sum_B: the best sum of log-probabilities among unfinished beams. Shape: [B]
            length: their tokens, without the start token.
        """
        worst_B, config = self.scores_BK[:, -1], self._config
        if config.early_stopping is True:
            self.done_B |= ~worst_B.isneginf()
        if config.early_stopping == "never" and config.length_penalty > 0:
            # A negative sum divided by more is better: the best that a beam could still reach.
            length = config.max_length - 1
        attainable_B = self._scored(best_sum_B[:, None], length)[:, 0]
        # Nothing is worse than no output at all: then only a beam without a future ends.
        self.done_B |= (attainable_B <= worst_B) | best_sum_B.isneginf()

    def keep(self, sources_B: Tensor) -> None:
        """Continues with some of the sources. Shape: [B]"""
        self._prefix_lengths_B = self._prefix_lengths_B[sources_B]
        self.done_B, self.scores_BK = self.done_B[sources_B], self.scores_BK[sources_B]
        self._lengths_BK, self._tokens_BKL = (
            self._lengths_BK[sources_B],
            self._tokens_BKL[sources_B],
        )
        self._log_probs_BKL = self._log_probs_BKL[sources_B]

    def outputs(self, of_B: Tensor, end: int) -> list[list[Hypothesis]]:
        """Outputs of the sources where `of_B` is true, best first. Shape: [B, K]"""
        rows = zip(
            self.scores_BK[of_B].tolist(),
            self._tokens_BKL[of_B].tolist(),
            self._log_probs_BKL[of_B].tolist(),
            self._lengths_BK[of_B].tolist(),
            strict=True,
        )
        return [
            [
                _hypothesis(score, tokens[1:length], log_probs[1:length], end)
                for score, tokens, log_probs, length in zip(*row, strict=True)
            ]
            for row in rows
        ]


def beam_search(
    search: Search, source: Sequences, inputs: RowInputs = NO_INPUTS
) -> list[list[Hypothesis]]:
    """Keeps the likeliest beginnings of each output.

    Args:
        search: the settings of sampling in its config are ignored.
        source: B sources.
        inputs: of the batch.

    Returns:
        The best `num_return_sequences` outputs of each source, best first. Shape: [B, ...]
    """
    config, end = search.config, search.special.end
    sources, beams, groups = len(source.lengths), config.num_beams, config.num_beam_groups
    device, size = source.tokens.device, beams // groups
    processor = search.processor(source, inputs, copies=beams, competing=True)
    cache = search.model.start(source, config.max_length, beams)
    prefix_lengths_B = processor.prefix_lengths()[::beams]
    finished = [Finished(size, config, prefix_lengths_B) for _ in range(groups)]
    tokens_RL = source.tokens.new_full((sources * beams, config.max_length), search.special.start)
    log_probs_RL = torch.zeros(tokens_RL.shape, device=device)
    # All beams of a group start equal, so only the first counts in the first step.
    sums_BGK = torch.full((sources, groups, size), _NEVER, device=device)
    sums_BGK[:, :, 0] = 0.0
    rows_BGK = torch.arange(sources * beams, device=device).view(sources, groups, size)
    outputs: list[list[Hypothesis]] = [[] for _ in range(sources)]
    active_B = torch.arange(sources, device=device)  # sources that are still searched
    length = 1
    while True:
        logits_R1V = search.model.step(tokens_RL[:, length - 1 : length], cache)
        processor.check(logits_R1V[:, -1], length)
        step_log_probs_RV = _normalized(logits_R1V[:, -1].float())
        tokens_RN = tokens_RL[:, :length]
        parents, newest, log_probs = [], [], []
        taken_BV: Tensor | None = None
        for group in range(groups):
            rows_R = rows_BGK[:, group].flatten()
            if groups == 1:
                scores_RV = processor.apply(step_log_probs_RV, tokens_RN)
            else:
                scores_RV = step_log_probs_RV[rows_R]
                if taken_BV is not None:
                    cost_BV = config.diversity_penalty * taken_BV
                    scores_RV = scores_RV - cost_BV.repeat_interleave(size, dim=0)
                scores_RV = processor.apply(scores_RV, tokens_RN[rows_R], rows_R)
            best = _best(sums_BGK[:, group], scores_RV)
            was_done_B = finished[group].done_B.clone()
            _collect_finished(
                finished[group], best, rows_R, tokens_RN, log_probs_RL[:, :length], search
            )
            best = _keep_unfinished(best, end)
            sums_BGK[:, group] = best.sums
            finished[group].update_done(best.sums[:, 0], length)
            parents.append(rows_BGK[:, group].gather(1, best.parents))
            newest.append(best.tokens)
            log_probs.append(best.log_probs)
            if groups > 1:
                taken_BV = _count(taken_BV, best.tokens, was_done_B, step_log_probs_RV.shape[1])
        del logits_R1V, step_log_probs_RV, scores_RV  # before the next are made
        done_B = torch.stack([group.done_B for group in finished]).all(0)
        if length + 1 == config.max_length or bool(done_B.all()):
            _emit(outputs, active_B, finished, torch.ones_like(done_B), search)
            return outputs
        parents_R, newest_R = torch.stack(parents, 1).flatten(), torch.stack(newest, 1).flatten()
        changed = _changed(tokens_RN, parents_R)
        tokens_RL[:, :length] = tokens_RN[parents_R]
        log_probs_RL[:, :length] = log_probs_RL[:, :length][parents_R]
        tokens_RL[:, length] = newest_R
        log_probs_RL[:, length] = torch.stack(log_probs, 1).flatten()
        processor.advance(newest_R, parents_R)
        cache.reorder(parents_R, changed)
        length += 1
        stays_B = unfinished(done_B)
        if stays_B is None:
            continue
        _emit(outputs, active_B, finished, done_B, search)
        rows_R = rows_BGK[stays_B].flatten()
        tokens_RL, log_probs_RL = tokens_RL[rows_R], log_probs_RL[rows_R]
        sums_BGK, active_B = sums_BGK[stays_B], active_B[stays_B]
        rows_BGK = torch.arange(len(rows_R), device=device).view(-1, groups, size)
        processor.keep(stays_B)
        cache.keep(stays_B)
        for group_finished in finished:
            group_finished.keep(stays_B)


def _normalized(logits_RV: Tensor) -> Tensor:
    """Log-probabilities, in the logits' own memory: a cache has no room for a copy."""
    for start in range(0, len(logits_RV), _CACHED_ROWS):
        rows = logits_RV[start : start + _CACHED_ROWS]
        rows.copy_(rows.log_softmax(-1))
    return logits_RV


def _changed(tokens_RN: Tensor, parents_R: Tensor) -> int:
    """The most of the last tokens in which a row differs from its parent."""
    differ_N = (tokens_RN != tokens_RN[parents_R]).any(0)
    return int(differ_N.flip(0).nonzero().max()) + 1 if bool(differ_N.any()) else 0


def _best(sums_BK: Tensor, scores_RV: Tensor) -> Candidates:
    """The 2K best continuations of each source."""
    sources, beams = sums_BK.shape
    # Of each beam first: adding the sums to whole vocabularies would cost more.
    width = min(2 * beams, scores_RV.shape[1])
    log_probs_RW, tokens_RW = topk(scores_RV, width)
    sums_BX = (sums_BK.reshape(-1, 1) + log_probs_RW).view(sources, -1)
    sums_BC, indices_BC = sums_BX.topk(2 * beams)
    log_probs_BX, tokens_BX = log_probs_RW.view(sources, -1), tokens_RW.view(sources, -1)
    return Candidates(
        sums_BC,
        indices_BC // width,
        tokens_BX.gather(1, indices_BC),
        log_probs_BX.gather(1, indices_BC),
    )


def _collect_finished(
    finished: Finished,
    best: Candidates,
    rows_R: Tensor,
    tokens_RN: Tensor,
    log_probs_RN: Tensor,
    search: Search,
) -> None:
    """Collects what ends among the K best of a group, with the end token or at the limit.

    Args:
        finished: of the group.
        best: of the group.
        rows_R: the group's rows.
        tokens_RN: of all rows.
        log_probs_RN: of all rows.
        search: the end token and the limit.
    """
    sources, beams = finished.scores_BK.shape
    length = tokens_RN.shape[1]
    newest_BK = best.tokens[:, :beams]
    ended_BK = newest_BK == search.special.end
    if length + 1 == search.config.max_length:
        ended_BK = torch.ones_like(ended_BK)
    elif not bool(ended_BK.any()):
        return
    parents_R = rows_R.view(sources, beams).gather(1, best.parents[:, :beams]).flatten()
    tokens_BKN = tokens_RN[parents_R].view(sources, beams, length)
    log_probs_BKN = log_probs_RN[parents_R].view(sources, beams, length)
    finished.add(
        ended_BK,
        best.sums[:, :beams],
        torch.cat((tokens_BKN, newest_BK[:, :, None]), dim=2),
        torch.cat((log_probs_BKN, best.log_probs[:, :beams, None]), dim=2),
    )


def _keep_unfinished(best: Candidates, end: int) -> Candidates:
    """The K best that do not end. Each beam ends in one way, so there are as many."""
    beams = best.tokens.shape[1] // 2
    # A stable sort keeps the best first, and moves what ends to the back.
    order_BK = (best.tokens == end).to(torch.int8).argsort(dim=1, stable=True)[:, :beams]
    sums, parents, tokens, log_probs = (
        part.gather(1, order_BK) for part in (best.sums, best.parents, best.tokens, best.log_probs)
    )
    return Candidates(sums, parents, tokens, log_probs)


def _count(taken_BV: Tensor | None, tokens_BK: Tensor, done_B: Tensor, vocabulary: int) -> Tensor:
    """Adds how many beams took each token; a group that was done takes none. Shape: [B, V]"""
    if taken_BV is None:
        taken_BV = torch.zeros((len(tokens_BK), vocabulary), device=tokens_BK.device)
    ones_BK = (~done_B).to(taken_BV.dtype)[:, None].expand_as(tokens_BK)
    return taken_BV.scatter_add(1, tokens_BK, ones_BK)


def _emit(
    outputs: list[list[Hypothesis]],
    active_B: Tensor,
    finished: list[Finished],
    done_B: Tensor,
    search: Search,
) -> None:
    """Stores the best of all groups for sources whose search has ended."""
    end, returned = search.special.end, search.config.num_return_sequences
    by_source = zip(*(group.outputs(done_B, end) for group in finished), strict=True)
    for index, groups in zip(active_B[done_B].tolist(), by_source, strict=True):
        of_source = [output for group in groups for output in group]
        outputs[index] = sorted(of_source, key=lambda output: -output.score)[:returned]


def _hypothesis(score: float, tokens: list[int], log_probs: list[float], end: int) -> Hypothesis:
    if score == _NEVER:  # fewer outputs than beams
        return Hypothesis(tokens=[], score=score, token_scores=[])
    tokens = up_to_end(tokens, end)
    return Hypothesis(tokens=tokens, score=score, token_scores=log_probs[: len(tokens)])
