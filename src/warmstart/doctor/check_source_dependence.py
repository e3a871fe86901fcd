"""Does the output depend on the source?

Shape legend: T target tokens of all pairs of a pass together, V vocabulary.
"""

import random
from collections.abc import Sequence
from math import isfinite, sqrt
from statistics import fmean, stdev

import torch

from warmstart.doctor.finding import Check, Verdict
from warmstart.doctor.subject import Pair, Subject
from warmstart.model.evaluation_mode import evaluation_mode
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

__all__ = ["SOURCE_DEPENDENCE", "derangement", "log_likelihoods"]

_TOKENS = 512  # target tokens of a pass: their logits are held in float32
_LEAST = 0.01  # nats a token: a token becomes 1 % likelier
_LITTLE = 0.1  # nats a token: a source is usually worth several
_ERRORS = 2.0  # standard errors
_SEED = 0


def _run(subject: Subject) -> Verdict:
    model = subject.model
    if model is None:
        return Verdict(status="skipped", what=subject.absence)
    # A repeated source could be shuffled to itself.
    pairs = list({source: (source, target) for source, target in subject.pairs}.values())
    if len(pairs) < 3:
        return Verdict(
            status="skipped",
            what=f"There are {len(pairs)} pairs of different sources; a comparison needs at least "
            "3.",
        )
    right = log_likelihoods(model, pairs)
    order = derangement(len(pairs))
    wrong = log_likelihoods(
        model, [(pairs[other][0], target) for other, (_, target) in zip(order, pairs, strict=True)]
    )
    if not all(map(isfinite, right + wrong)):
        return Verdict(
            status="problem",
            what="The likelihood of some targets is not a number.",
            remedy="See the finding on tensors. If they are finite, activations overflow: the "
            "model was damaged in training, so go back to an earlier checkpoint.",
            figures={"pairs": len(pairs)},
        )
    differences = [a - b for a, b in zip(right, wrong, strict=True)]
    figures = {
        "pairs": len(pairs),
        "right": fmean(right),
        "shuffled": fmean(wrong),
        "difference": fmean(differences),
        "standard_error": stdev(differences) / sqrt(len(pairs)),
    }
    return _judged(figures, whose="given" if subject.pairs_given else "built-in")


def _judged(figures: dict[str, float], *, whose: str) -> Verdict:
    difference, error = figures["difference"], figures["standard_error"]
    numbers = (
        f"Over {figures['pairs']} {whose} pairs the log-likelihood of the targets is "
        f"{figures['right']:.3f} nats a token with their sources and {figures['shuffled']:.3f} "
        f"with shuffled ones: a difference of {difference:.4f} ± {error:.4f} (standard error)"
    )
    if difference > max(_LEAST, _ERRORS * error):
        conclusion = "The output depends on the source."
        if difference < _LITTLE:
            conclusion = "The output depends on the source, but hardly: more training is needed."
        return Verdict(status="ok", what=f"{numbers}. {conclusion}", figures=figures)
    conclusion = "No dependence of the output on the source is visible."
    if difference == error == 0:
        conclusion = "The output does not depend on the source at all."
    elsewhere = ""
    if whose == "built-in":
        elsewhere = " The built-in pairs are plain English; give --data of the model's own task."
    return Verdict(
        status="warning",
        what=f"{numbers}. {conclusion}",
        remedy="Without training this is expected: train the model. After training, check the "
        "finding on cross-attention below, whether sources and targets of the training data belong "
        f"together, and whether truncation removes the relevant part of sources.{elsewhere}",
        figures=figures,
    )


def derangement(count: int) -> list[int]:
    """An order in which no index is its own: a shift by one in a random cycle."""
    circle = list(range(count))
    random.Random(_SEED).shuffle(circle)
    order = [0] * count
    for index, other in zip(circle, circle[1:] + circle[:1], strict=True):
        order[index] = other
    return order


@torch.inference_mode()
def log_likelihoods(model: Seq2Seq, pairs: Sequence[Pair]) -> list[float]:
    """Log-likelihood of each target given its source, in nats per target token.

    The end token counts, the start token does not. Passes are grouped by the targets
    alone, so that two calls that differ in the sources differ in nothing else.

    Args:
        model: evaluated without dropout.
        pairs: texts.
    """
    pair = model.tokenizers
    sources = pair.encode_sources([source for source, _ in pairs], model.source_limit).rows
    targets = pair.encode_targets([target for _, target in pairs], model.target_limit).rows
    found = [0.0] * len(pairs)
    with evaluation_mode(model.model):
        for rows in _passes(targets):
            values = _pass(model, [sources[row] for row in rows], [targets[row] for row in rows])
            for row, value in zip(rows, values, strict=True):
                found[row] = value
    return found


def _pass(model: Seq2Seq, sources: list[list[int]], targets: list[list[int]]) -> list[float]:
    start = model.tokenizers.special.start
    labels = Sequences.of(targets, model.device)
    logits_TV = model.model(
        Sequences.of(sources, model.device),
        Sequences.of([[start, *target[:-1]] for target in targets], model.device),
    )
    log_probs_TV = logits_TV.float().log_softmax(-1)
    chosen_T = log_probs_TV.gather(1, labels.tokens[:, None])[:, 0]
    return [float(part.double().mean()) for part in chosen_T.cpu().split(labels.lengths)]


def _passes(targets: Sequence[Sequence[int]]) -> list[list[int]]:
    """Rows in passes of similar length and limited tokens."""
    passes: list[list[int]] = []
    tokens = _TOKENS
    for row in sorted(range(len(targets)), key=lambda row: len(targets[row])):
        tokens += len(targets[row])
        if tokens > _TOKENS:
            passes.append([])
            tokens = len(targets[row])
        passes[-1].append(row)
    return passes


SOURCE_DEPENDENCE = Check(
    name="source dependence",
    why="A model that ignores its source writes fluent text that has nothing to do with it; a low "
    "loss alone does not show that.",
    run=_run,
)
