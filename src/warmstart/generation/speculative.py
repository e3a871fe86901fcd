"""Greedy search that verifies several guessed tokens in one step, with greedy's very output.

A step over several tokens gives the scores behind each of them. The guesses are kept up to the
first that is not the likeliest token, and the likeliest token follows them.

Kernels add in another order for another number of tokens, so scores differ from those of greedy
steps by rounding. Where the best two scores of a token that is kept are nearer than that, the two
might not agree: then the whole batch is decoded by greedy steps instead, which happens to one token
in many thousands. So outputs are the same, to the bit, as long as rounding moves no score by more
than half of `margin`.

What is written is held in lists: a step looks at a few tokens of each row, for which Python takes
less time than kernels to start.

Shape legend: B sources, one row each, N tokens of a step, the newest and a draft behind it,
X = B * N, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from warmstart.generation.compaction import staying
from warmstart.generation.config import NO_CONSTRAINTS, Constraints, GenerationConfig
from warmstart.generation.hypothesis import Hypothesis, hypothesis, up_to_end
from warmstart.generation.logits import Rules
from warmstart.generation.prompt_lookup import Drafts, Pace
from warmstart.generation.row_inputs import NO_GUIDE, Guide
from warmstart.generation.token_by_token import greedy_search
from warmstart.generation.topk import best
from warmstart.inference.convert import rounds_inputs
from warmstart.model.encoder_decoder import EncoderDecoder
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
    options: GenerationConfig,
    constraints: Constraints = NO_CONSTRAINTS,
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
    rows = [_Row(Drafts(row), [special.start]) for row in guide.draft_rows]
    compiled = model.compiled_step is not None
    longest = min(options.draft_length, options.max_length)
    pace = Pace(sources, longest, device, compiled=compiled)
    given = rules.prefix_lengths().tolist()
    active = rows  # those that the cache still holds
    while True:
        going_on = [row for row in active if not row.finished]
        room = options.max_length - max(len(row.tokens) for row in going_on)
        tokens = min(pace.tokens(), room - 1)
        # One is looked at even where none is verified, to see when drafts pay again.
        drafts = [row.drafts.propose(row.tokens, max(tokens, 1)) for row in active]
        inputs = [
            [row.tokens[-1], *draft[:tokens]] for row, draft in zip(active, drafts, strict=True)
        ]
        # In float32, as greedy search has it.
        logits_BNV = model.step(torch.tensor(inputs, device=device), cache)
        logits_XV = logits_BNV.flatten(0, 1).float()
        apart_X = margin(logits_XV)
        scores_XV = _ruled(rules, logits_XV, active, inputs)
        two_X2, places_X2 = best(scores_XV, 2)
        best_X, second_X = two_X2.unbind(1)
        # Said so that a score that is no number counts as near.
        near_X = ~(best_X - second_X > apart_X)
        found_2BN = torch.stack((places_X2[:, 0], near_X.long())).view(2, len(active), -1)
        likeliest, near = found_2BN.tolist()
        own: list[list[float]] = [[]] * len(active)
        if scored:
            own = (best_X - scores_XV.logsumexp(-1)).view(len(active), -1).tolist()
        looked_at, accepted, undecided = 0, 0, False
        for row, draft, found, unsure, scores in zip(
            active, drafts, likeliest, near, own, strict=True
        ):
            if row.finished:
                continue
            right = _alike(draft, found)
            looked_at, accepted = looked_at + min(right + 1, len(draft)), accepted + right
            new = row.add(found[: min(right, tokens) + 1], scores, special.end, options.max_length)
            undecided |= any(unsure[:new])
        if undecided:
            again = greedy_search(
                model, source, special, options, constraints, guide, scored=scored
            )
            return _with_more_steps(again, rows)
        if all(row.finished for row in active):
            break
        pace.see(looked_at, accepted)
        cache.take_back(torch.tensor([row.surplus(tokens + 1) for row in active], device=device))
        stays_B = staying(torch.tensor([row.finished for row in active], device=device))
        if stays_B is not None:
            active = [active[place] for place in stays_B.tolist()]
            rules.keep(stays_B)
            cache.keep(stays_B)
            pace.keep(len(active))
    penalty = options.length_penalty
    return [[row.hypothesis(count, penalty)] for row, count in zip(rows, given, strict=True)]


@dataclass(slots=True)
class _Row:
    """An output that is being written.

    Attributes:
        drafts: follow it.
        tokens: what is written, the start token first.
        scores: log-probabilities of what was written behind that; empty: not asked for.
        steps: that wrote something.
        cached: tokens that the cache holds.
        finished: whether it has its last token.
    """

    drafts: Drafts
    tokens: list[int]
    scores: list[float] = field(default_factory=list)
    steps: int = 0
    cached: int = 0
    finished: bool = False

    def add(self, tokens: list[int], scores: list[float], end: int, limit: int) -> int:
        """Writes tokens up to the end token, and returns how many."""
        new = up_to_end(tokens, end)
        self.tokens += new
        self.scores += scores[: len(new)]
        self.steps += 1
        self.finished = new[-1] == end or len(self.tokens) == limit
        self.drafts.advance(len(new))
        return len(new)

    def surplus(self, tokens: int) -> int:
        """Tokens that the cache holds for nothing, of so many that it got.

        A finished row gives all up, so that it does not make the cache longer.
        """
        held = self.cached + tokens
        self.cached = 0 if self.finished else len(self.tokens) - 1
        return held - self.cached

    def hypothesis(self, given: int, length_penalty: float) -> Hypothesis:
        """The output. Arguments as `hypothesis`."""
        tokens = self.tokens[1:]
        if self.scores:
            return hypothesis(tokens, self.scores, given, length_penalty, self.steps)
        return Hypothesis(tokens=tokens, token_scores=[], steps=self.steps)


def _alike(draft: Sequence[int], found: Sequence[int]) -> int:
    """How many tokens of a draft are right, up to the first that is not."""
    pairs = enumerate(zip(draft, found, strict=False))
    wrong = (place for place, (guessed, token) in pairs if guessed != token)
    return next(wrong, min(len(draft), len(found)))


def _ruled(
    rules: Rules, logits_XV: Tensor, rows: Sequence[_Row], inputs: Sequence[Sequence[int]]
) -> Tensor:
    """Scores after the rules, each as if the draft before it had been written."""
    if rules.idle:
        return logits_XV
    written = [
        [*row.tokens, *draft[1 : place + 1]]
        for row, draft in zip(rows, inputs, strict=True)
        for place in range(len(draft))
    ]
    tokens = len(inputs[0])
    for length in {len(tokens) for tokens in written}:  # rules want rows of one length
        places = [place for place, tokens in enumerate(written) if len(tokens) == length]
        places_Y = torch.tensor(places, device=logits_XV.device)
        of_length_YL = torch.tensor([written[place] for place in places], device=logits_XV.device)
        logits_XV[places_Y] = rules.apply(logits_XV[places_Y], of_length_YL, places_Y // tokens)
    return logits_XV


def _with_more_steps(found: list[list[Hypothesis]], rows: Sequence[_Row]) -> list[list[Hypothesis]]:
    """Outputs of greedy steps, which came after those of the rows. Shape: [B, 1] -> [B, 1]"""
    return [
        [replace(output, steps=row.steps + len(output.tokens))]
        for (output,), row in zip(found, rows, strict=True)
    ]
