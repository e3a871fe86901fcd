"""Does what the model writes depend on what it reads?

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
_LITTLE = 0.1  # nats a token: what a source says is worth several
_ERRORS = 2.0  # standard errors
_SEED = 0


def _run(subject: Subject) -> Verdict:
    model = subject.model
    if model is None:
        return Verdict(status="skipped", what=subject.absence)
    # A source that comes again would be its own stranger.
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
            remedy="See what is said of the tensors. If they are finite, values overflow on the "
            "way: the model was damaged in training, so go back to an earlier checkpoint.",
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
        told = "The output depends on the source."
        if difference < _LITTLE:
            told = "The output depends on the source, but hardly: more training is needed."
        return Verdict(status="ok", what=f"{numbers}. {told}", figures=figures)
    told = "That the output depends on the source cannot be seen."
    if difference == error == 0:
        told = "The output does not depend on the source at all."
    elsewhere = ""
    if whose == "built-in":
        elsewhere = " The built-in pairs are plain English; give --data of the model's own task."
    return Verdict(
        status="warning",
        what=f"{numbers}. {told}",
        remedy="If it was not trained that is as it should be: train it. If it was, look at the "
        "cross-attention below, at whether sources and targets of the training data belong "
        f"together, and whether sources are cut before what matters.{elsewhere}",
        figures=figures,
    )


def derangement(count: int) -> list[int]:
    """An order in which nothing is in its own place: a turn by one in a random circle."""
    circle = list(range(count))
    random.Random(_SEED).shuffle(circle)
    order = [0] * count
    for place, other in zip(circle, circle[1:] + circle[:1], strict=True):
        order[place] = other
    return order


@torch.inference_mode()
def log_likelihoods(model: Seq2Seq, pairs: Sequence[Pair]) -> list[float]:
    """Log-likelihood of each target given its source, in nats per target token.

    The end token counts, the start token does not. Which targets share a pass depends on the
    targets alone, so that two calls that differ in the sources differ in nothing else.

    Args:
        model: is evaluated without dropout.
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
    """Rows in passes of like length and of not too many tokens."""
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
    why="A model that does not look at its source writes fluent text that has nothing to do with "
    "it; a low loss alone does not show that.",
    run=_run,
)
