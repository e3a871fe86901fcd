"""Speculative greedy search: several drafted tokens are verified in one step.

A step over several tokens gives the scores after each of them. Drafted tokens are accepted up to
the first that is not the likeliest, and the likeliest token follows them. The output is greedy
search's own.

Kernels sum in another order for another number of tokens, so scores differ from those of greedy
steps by rounding. Where the best two scores of an accepted token are nearer than that, the two
might not agree: then the whole batch is decoded by greedy steps instead, which happens to one token
in many thousands. So outputs are the same, to the bit, as long as rounding moves no score by more
than half of `margin`.

Tokens are kept in lists: a step handles a few tokens of each row, for which Python takes less time
than kernels to start.

Shape legend: B sources, one row each, N tokens of a step, the newest and a draft after it,
X = B * N, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from warmstart.generation.compaction import unfinished
from warmstart.generation.greedy import greedy_search
from warmstart.generation.hypothesis import Hypothesis, hypothesis, up_to_end
from warmstart.generation.logits import LogitsProcessor
from warmstart.generation.prompt_lookup import DraftLengthController, PromptLookup
from warmstart.generation.row_inputs import RowInputs
from warmstart.generation.search import Search
from warmstart.generation.topk import topk
from warmstart.inference.convert import rounds_inputs
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences

__all__ = ["margin", "speculative_search", "why_not_speculative"]

_ROUNDINGS = 256  # see `margin`


def margin(logits_XV: Tensor) -> Tensor:
    """The distance of the best two scores above which all kernels agree on the best one.

    256 roundings of the largest logit. Kernels were seen to move a score by up to 22, with a
    trained model of 6 layers and a vocabulary of 30,522. Shape: [X, V] -> [X]
    """
    # Two kernels, for the one that finds both takes four times as long.
    largest_X = torch.maximum(logits_XV.amax(-1), -logits_XV.amin(-1))
    return _ROUNDINGS * torch.finfo(logits_XV.dtype).eps * largest_X


def why_not_speculative(model: EncoderDecoder, inputs: RowInputs) -> str | None:
    """Why drafts could not keep greedy search's output; None if they can."""
    if inputs.automaton is not None:
        return "they ignore which outputs are allowed"
    if rounds_inputs(model):
        return "in int8 rounding would make outputs differ from those of greedy steps"
    dtypes = {str(weight.dtype).removeprefix("torch.") for weight in model.parameters()}
    coarse = sorted(dtypes - {"float32", "float64"})
    if coarse:
        return f"in {coarse[0]} rounding would make outputs differ from those of greedy steps"
    if next(model.parameters()).is_cuda and torch.backends.cuda.matmul.allow_tf32:
        return "in TF32 rounding would make outputs differ from those of greedy steps"
    return None


def speculative_search(
    search: Search, source: Sequences, inputs: RowInputs
) -> list[list[Hypothesis]]:
    """The output of `greedy_search`, in fewer steps where it copies its source.

    Args:
        search: its model is in float32; scores are greedy search's, but for rounding.
        source: B sources.
        inputs: of the batch, with `draft_rows` and without an automaton.

    Returns:
        One output of each source. Shape: [B, 1]
    """
    device, config, model = source.tokens.device, search.config, search.model
    processor = search.processor(source, inputs)
    cache = model.start(source, config.max_length)
    rows = [_Row(PromptLookup(row), [search.special.start]) for row in inputs.draft_rows]
    controller = DraftLengthController(
        len(rows),
        min(config.draft_length, config.max_length),
        device,
        compiled=model.compiled_step is not None,
    )
    prefix_lengths = processor.prefix_lengths().tolist()
    active = rows  # those that the cache still holds
    while True:
        longest = max(len(row.tokens) for row in active if not row.finished)
        tokens = min(controller.tokens(), config.max_length - longest - 1)
        # One is compared even where none is verified, to see when drafts pay again.
        drafts = [row.lookup.propose(row.tokens, max(tokens, 1)) for row in active]
        step_tokens = [
            [row.tokens[-1], *draft[:tokens]] for row, draft in zip(active, drafts, strict=True)
        ]
        # In float32, as greedy search has it.
        logits_BNV = model.step(torch.tensor(step_tokens, device=device), cache)
        logits_XV = logits_BNV.flatten(0, 1).float()
        margin_X = margin(logits_XV)
        scores_XV = _processed(processor, logits_XV, active, step_tokens)
        two_X2, indices_X2 = topk(scores_XV, 2)
        best_X, second_X = two_X2.unbind(1)
        # Negated so that NaN counts as near.
        near_X = ~(best_X - second_X > margin_X)
        both_2BN = torch.stack((indices_X2[:, 0], near_X.long())).view(2, len(active), -1)
        likeliest, near = both_2BN.tolist()
        log_probs: list[list[float]] = [[]] * len(active)
        if search.scored:
            log_probs = (best_X - scores_XV.logsumexp(-1)).view(len(active), -1).tolist()
        tested, accepted, undecided = 0, 0, False
        for row, draft, chosen, unsure, scores in zip(
            active, drafts, likeliest, near, log_probs, strict=True
        ):
            if row.finished:
                continue
            right = _matches(draft, chosen)
            tested, accepted = tested + min(right + 1, len(draft)), accepted + right
            new = row.add(chosen[: min(right, tokens) + 1], scores, search)
            undecided |= any(unsure[:new])
        if undecided:
            return _with_more_steps(greedy_search(search, source, inputs), rows)
        if all(row.finished for row in active):
            break
        controller.record(tested, accepted)
        cache.take_back(torch.tensor([row.surplus(tokens + 1) for row in active], device=device))
        stays_B = unfinished(torch.tensor([row.finished for row in active], device=device))
        if stays_B is not None:
            active = [active[index] for index in stays_B.tolist()]
            processor.keep(stays_B)
            cache.keep(stays_B)
            controller.keep(len(active))
    return [
        [row.hypothesis(prefix_length, config.length_penalty)]
        for row, prefix_length in zip(rows, prefix_lengths, strict=True)
    ]


@dataclass(slots=True)
class _Row:
    """An unfinished output.

    Attributes:
        lookup: proposes its drafts.
        tokens: so far, the start token first.
        scores: log-probabilities of the tokens after that; empty without scores.
        steps: that wrote something.
        cached: tokens in the cache.
        finished: whether it has its last token.
    """

    lookup: PromptLookup
    tokens: list[int]
    scores: list[float] = field(default_factory=list)
    steps: int = 0
    cached: int = 0
    finished: bool = False

    def add(self, tokens: list[int], scores: list[float], search: Search) -> int:
        """Appends tokens up to the end token, and returns how many."""
        new = up_to_end(tokens, search.special.end)
        self.tokens += new
        self.scores += scores[: len(new)]
        self.steps += 1
        self.finished = (
            new[-1] == search.special.end or len(self.tokens) == search.config.max_length
        )
        self.lookup.advance(len(new))
        return len(new)

    def surplus(self, tokens: int) -> int:
        """Useless tokens in the cache, after it got some.

        All of a finished row are, so that it does not lengthen the cache.
        """
        held = self.cached + tokens
        self.cached = 0 if self.finished else len(self.tokens) - 1
        return held - self.cached

    def hypothesis(self, prefix_length: int, length_penalty: float) -> Hypothesis:
        """The output. Arguments as `hypothesis`."""
        tokens = self.tokens[1:]
        if self.scores:
            return hypothesis(tokens, self.scores, prefix_length, length_penalty, self.steps)
        return Hypothesis(tokens=tokens, token_scores=[], steps=self.steps)


def _matches(draft: Sequence[int], chosen: Sequence[int]) -> int:
    """Tokens of a draft that are right, up to the first that is not."""
    pairs = enumerate(zip(draft, chosen, strict=False))
    wrong = (index for index, (drafted, token) in pairs if drafted != token)
    return next(wrong, min(len(draft), len(chosen)))


def _processed(
    processor: LogitsProcessor,
    logits_XV: Tensor,
    rows: Sequence[_Row],
    step_tokens: Sequence[Sequence[int]],
) -> Tensor:
    """Processed scores, each as if the draft before it had been accepted."""
    if processor.idle:
        return logits_XV
    so_far = [
        [*row.tokens, *draft[1 : index + 1]]
        for row, draft in zip(rows, step_tokens, strict=True)
        for index in range(len(draft))
    ]
    tokens = len(step_tokens[0])
    for length in {len(tokens) for tokens in so_far}:  # the processor takes rows of one length
        indices = [index for index, tokens in enumerate(so_far) if len(tokens) == length]
        indices_Y = torch.tensor(indices, device=logits_XV.device)
        tokens_YL = torch.tensor([so_far[index] for index in indices], device=logits_XV.device)
        logits_XV[indices_Y] = processor.apply(logits_XV[indices_Y], tokens_YL, indices_Y // tokens)
    return logits_XV


def _with_more_steps(
    outputs: list[list[Hypothesis]], rows: Sequence[_Row]
) -> list[list[Hypothesis]]:
    """Outputs of greedy steps, which came after those of the rows. Shape: [B, 1] -> [B, 1]"""
    return [
        [replace(output, steps=row.steps + len(output.tokens))]
        for (output,), row in zip(outputs, rows, strict=True)
    ]
