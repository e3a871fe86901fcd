"""Greedy search that verifies several guessed tokens in one step, with greedy's very output.

A step over several tokens gives the scores behind each of them. The guesses are kept up to the
first that is not the likeliest token, and the likeliest token follows them.

Kernels add in another order for another number of tokens, so scores differ from those of greedy
steps by rounding. Where the best two scores of a token that is kept are nearer than that, the two
might not agree: then the whole batch is decoded by greedy steps instead, which happens to one token
in many thousands. So outputs are the same, to the bit, as long as rounding moves no score by more
than half of `margin`.

Shape legend: B sources, one row each, L tokens at most, start token included, K tokens of a draft,
N = K + 1 tokens of a step, X = B * N, V vocabulary.
"""

from dataclasses import replace

import torch
from torch import Tensor

from warmstart.generation.best import best
from warmstart.generation.draft import Drafts, Pace
from warmstart.generation.guide import NO_GUIDE, Guide
from warmstart.generation.hypothesis import Hypothesis, hypotheses
from warmstart.generation.leaving import staying
from warmstart.generation.logits import NONE, Rules
from warmstart.generation.one_by_one import greedy_search
from warmstart.generation.options import Constraints, GenerationOptions
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.inference import rounds_inputs
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

__all__ = ["drafted_search", "margin", "undraftable"]

_ROUNDINGS = 256  # see `margin`


def margin(logits_XV: Tensor) -> Tensor:
    """How far apart the best two scores must be, to be told apart whatever the kernels.

    256 roundings of the largest logit. Kernels were seen to move a score by up to 22, with a
    trained model of 6 layers and a vocabulary of 30,522. Shape: [X, V] -> [X]
    """
    # Two kernels, for the one that finds both is four times as slow.
    largest_X = torch.maximum(logits_XV.amax(-1), -logits_XV.amin(-1))
    return _ROUNDINGS * torch.finfo(logits_XV.dtype).eps * largest_X


def undraftable(model: EncoderDecoder, guide: Guide) -> str | None:
    """Why outputs cannot be guessed and still be greedy's; None: they can."""
    if guide.allowed is not None:
        return "they do not look at the outputs that are allowed"
    if rounds_inputs(model):
        return "in int8 rounding would make outputs differ from those of greedy steps"
    kinds = {str(weight.dtype).removeprefix("torch.") for weight in model.parameters()}
    coarse = sorted(kinds - {"float32", "float64"})
    if coarse:
        return f"in {coarse[0]} rounding would make outputs differ from those of greedy steps"
    if next(model.parameters()).is_cuda and torch.backends.cuda.matmul.allow_tf32:
        return "in TF32 rounding would make outputs differ from those of greedy steps"
    return None


def drafted_search(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationOptions,
    constraints: Constraints = NONE,
    guide: Guide = NO_GUIDE,
    *,
    scored: bool = False,
) -> list[list[Hypothesis]]:
    """What `greedy_search` gives, in fewer steps where outputs copy their source.

    Args:
        model: in evaluation mode, in float32.
        source: B sources.
        special: start and end token.
        options: `draft_length` is the most tokens of a draft.
        constraints: what the model asks for.
        guide: what the call and its texts ask for; `draft_rows` are looked up, and there are no
            `allowed` outputs.
        scored: whether scores are asked for. They are greedy's, but for rounding.

    Returns:
        One output of each source. Shape: [B, 1]
    """
    sources, device = len(source.lengths), source.tokens.device
    rules = Rules(special.end, options, constraints, guide, sources=sources, device=device)
    cache = model.start(source, options.max_length)
    rows, given_B = _Rows(source, special, options, scored=scored), rules.prefix_lengths()
    drafts = Drafts(guide.draft_rows, device)
    compiled = model.compiled_step is not None
    pace = Pace(sources, options.draft_length, device, compiled=compiled)
    while True:
        tokens = min(pace.tokens(), rows.room() - 1)
        # One is looked at even where none is verified, to see when drafts pay again.
        draft_BK = drafts.propose(rows.written_BL, rows.lengths_B, max(tokens, 1))
        inputs_BN = torch.cat((rows.newest(), draft_BK[:, :tokens]), dim=1)
        # In float32, as greedy search has it.
        logits_XV = model.step(inputs_BN, cache).flatten(0, 1).float()
        apart_X = margin(logits_XV)
        scores_XV = rows.ruled(rules, logits_XV, draft_BK[:, :tokens])
        two_X2, places_X2 = best(scores_XV, 2)
        (best_X, second_X), tokens_X = two_X2.unbind(1), places_X2[:, 0]
        own_X = best_X - scores_XV.logsumexp(-1) if scored else None
        tokens_BN = tokens_X.view(inputs_BN.shape)
        right_BK = draft_BK == tokens_BN[:, : draft_BK.shape[1]]
        accepted_B = right_BK[:, :tokens].long().cumprod(1).sum(1)
        before_B = rows.finished_B
        new_B = rows.add(tokens_BN, accepted_B + 1, own_X)
        kept_BN = torch.arange(tokens + 1, device=device) < new_B[:, None]
        # Said so that a score that is no number counts as near.
        if bool((kept_BN & ~(best_X - second_X > apart_X).view(kept_BN.shape)).any()):
            again = greedy_search(
                model, source, special, options, constraints, guide, scored=scored
            )
            return rows.with_steps(again, again=True)
        if bool(rows.finished_B.all()):
            break
        drafts.advance(new_B)
        cache.take_back(rows.surplus(tokens + 1, new_B))
        seen_BK = right_BK if tokens == 0 else right_BK.long().cumprod(1)
        looked_at_B = (accepted_B + 1).clamp_max(max(tokens, 1)).masked_fill(before_B, 0)
        pace.see(int(looked_at_B.sum()), int(seen_BK[~before_B].sum()))
        stays_B = staying(rows.finished_B)
        if stays_B is not None:
            for held in (rows, drafts, rules, cache):
                held.keep(stays_B)
            pace.keep(len(stays_B))
    written_BL, scores_BL = rows.all_written()
    found = hypotheses(written_BL, special.end, options.length_penalty, scores_BL, given_B)
    return rows.with_steps([[output] for output in found])


class _Rows:
    """What is written so far, of the rows that go on; and what the others wrote.

    Attributes:
        written_BL: tokens, with room for a draft behind. Shape: [B, L + N]
        lengths_B: how many there are. Shape: [B]
        scores_BL: their log-probabilities; None: not asked for. Shape: [B, L + N]
        finished_B: which rows have ended. Shape: [B]
    """

    def __init__(
        self, source: Sequences, special: SpecialTokens, options: GenerationOptions, *, scored: bool
    ) -> None:
        sources, device = len(source.lengths), source.tokens.device
        self._end, self._limit = special.end, options.max_length
        size = (sources, options.max_length + options.draft_length + 1)
        self.written_BL = source.tokens.new_full(size, special.start)
        self.scores_BL = torch.zeros(size, device=device) if scored else None
        self.lengths_B = torch.ones(sources, dtype=torch.long, device=device)
        self.finished_B = torch.zeros(sources, dtype=torch.bool, device=device)
        self._cached_B = torch.zeros_like(self.lengths_B)
        self._steps_B = torch.zeros_like(self.lengths_B)
        self._places_B = torch.arange(sources, device=device)  # among all sources
        self._all = (self.written_BL.clone(), self._steps_B.clone())
        self._all_scores_BL = None if self.scores_BL is None else self.scores_BL.clone()

    def keep(self, rows_B: Tensor) -> None:
        """Puts the outputs of the other rows aside. Shape: [B]"""
        self._put_aside()
        for name in ("written_BL", "lengths_B", "finished_B", "_cached_B", "_steps_B", "_places_B"):
            setattr(self, name, getattr(self, name)[rows_B])
        self.scores_BL = None if self.scores_BL is None else self.scores_BL[rows_B]

    def _put_aside(self) -> None:
        for whole, part in zip(self._all, (self.written_BL, self._steps_B), strict=True):
            whole[self._places_B] = part
        if self._all_scores_BL is not None and self.scores_BL is not None:
            self._all_scores_BL[self._places_B] = self.scores_BL

    def all_written(self) -> tuple[Tensor, Tensor | None]:
        """Tokens and their log-probabilities of all rows. Shape: [B, L] each"""
        self._put_aside()
        scores_BL = self._all_scores_BL
        return (
            self._all[0][:, : self._limit],
            None if scores_BL is None else scores_BL[:, : self._limit],
        )

    def room(self) -> int:
        """Tokens that the longest row may still write."""
        return self._limit - int(self.lengths_B.masked_fill(self.finished_B, 0).max())

    def newest(self) -> Tensor:
        """Shape: [B, 1]"""
        return self.written_BL.gather(1, self.lengths_B[:, None] - 1)

    def ruled(self, rules: Rules, logits_XV: Tensor, draft_BK: Tensor) -> Tensor:
        """Scores after the rules, each as if the draft before it had been written."""
        if rules.idle:
            return logits_XV
        tokens = draft_BK.shape[1] + 1
        steps_N = torch.arange(tokens, device=draft_BK.device)
        lengths_BN = self.lengths_B[:, None] + steps_N
        written_BL = self.written_BL.scatter(1, lengths_BN[:, :-1], draft_BK)
        lengths_X = lengths_BN.flatten()
        # Rules want rows of one length.
        for length in lengths_X.unique().tolist():
            (places,) = (lengths_X == length).nonzero(as_tuple=True)
            of_rows = places // tokens
            logits_XV[places] = rules.apply(
                logits_XV[places], written_BL[of_rows, :length], of_rows
            )
        return logits_XV

    def add(self, tokens_BN: Tensor, counts_B: Tensor, own_X: Tensor | None) -> Tensor:
        """Writes tokens up to the end token.

        Args:
            tokens_BN: tokens. Shape: [B, N]
            counts_B: how many of them are kept, at most. Shape: [B]
            own_X: their log-probabilities. Shape: [B * N]

        Returns:
            How many were kept; none of a row that had ended. Shape: [B]
        """
        going_on_B = ~self.finished_B
        is_end_BN = tokens_BN == self._end
        to_end_B = torch.where(is_end_BN.any(1), is_end_BN.int().argmax(1) + 1, counts_B)
        new_B = torch.minimum(counts_B, to_end_B) * going_on_B
        # What lies behind those is written over, or behind an end.
        places_BN = self.lengths_B[:, None] + torch.arange(
            tokens_BN.shape[1], device=tokens_BN.device
        )
        self.written_BL.scatter_(1, places_BN, tokens_BN)
        if self.scores_BL is not None and own_X is not None:
            self.scores_BL.scatter_(1, places_BN, own_X.view(tokens_BN.shape))
        self.lengths_B = self.lengths_B + new_B
        self._steps_B += going_on_B
        ended_B = (is_end_BN.any(1) & (to_end_B <= counts_B)) | (self.lengths_B == self._limit)
        self.finished_B = self.finished_B | ended_B
        return new_B

    def surplus(self, tokens: int, new_B: Tensor) -> Tensor:
        """Tokens that the cache holds for nothing, of the last step's.

        A finished row gives all up, so that it does not make the cache longer. Shape: [B]
        """
        held_B = self._cached_B + tokens
        self._cached_B = (self.lengths_B - 1).masked_fill(self.finished_B, 0)
        return held_B - self._cached_B

    def with_steps(
        self, found: list[list[Hypothesis]], *, again: bool = False
    ) -> list[list[Hypothesis]]:
        """Outputs that say how many steps they took.

        Args:
            found: one of each source. Shape: [B, 1]
            again: whether greedy steps wrote them, after those that were counted.
        """
        self._put_aside()
        return [
            [replace(output, steps=steps + (len(output.tokens) if again else 0))]
            for (output,), steps in zip(found, self._all[1].tolist(), strict=True)
        ]
