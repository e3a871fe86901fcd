"""Has cross-attention left its start?"""

from collections.abc import Iterator, Sized
from math import sqrt

import torch
from torch import Tensor

from warmstart.composition.composition_options import shares
from warmstart.composition.cross_attention_start import copied_part, copies_of_self_attention
from warmstart.doctor.finding import Check, Verdict
from warmstart.doctor.subject import Subject
from warmstart.model.attention import CrossAttention
from warmstart.model.stack import Block
from warmstart.seq2seq import Seq2Seq

__all__ = ["CROSS_ATTENTION"]

_DEVIATIONS = 5.0  # standard errors by which a sample of normal numbers may deviate
_REMEDY = (
    "Train the model: warmstart train RECIPE.yaml. If it was trained, its cross-attention was not: "
    "check that these parameters have gradients, that the learning rate is not zero, and that this "
    "is the last folder of the run."
)


def _run(subject: Subject) -> Verdict:
    composition, model = subject.composition, subject.model
    if composition is None or model is None:
        return Verdict(status="skipped", what=subject.absence)
    kind = model.model.config.decoder.cross_attention
    if kind is None:
        what = "The model has none: the decoder reads the source as the prefix of the target."
        return Verdict(status="skipped", what=what)
    if kind == "merged":
        what = "It has no weights of its own: self-attention reads the source as well."
        return Verdict(status="skipped", what=what)
    if kind == "gated":
        return _gated(model)
    if shares(composition.share, "cross"):
        what = "It has no projections of its own: they are self-attention's."
        return Verdict(status="skipped", what=what)
    return _copied(model) if composition.cross_attention == "copy" else _random(model)


def _gated(model: Seq2Seq) -> Verdict:
    gates = []
    for _, attention in _layers(model):
        assert attention.gate is not None
        gates.append(float(attention.gate.detach().float().tanh()))
    closed = [layer for layer, gate in enumerate(gates) if gate == 0.0]
    figures = {
        "layers": len(gates),
        "closed_gates": len(closed),
        "smallest_gate": min(gates, key=abs),
        "largest_gate": max(gates, key=abs),
    }
    if closed:
        return Verdict(
            status="warning",
            what=f"The gates of {len(closed)} of {len(gates)} layers are exactly zero, as at "
            f"the start{_which(closed, gates)}: the source has no effect.",
            remedy=_REMEDY,
            figures=figures,
        )
    return Verdict(
        status="ok",
        what=f"All {len(gates)} gates have opened: tanh(gate) is from "
        f"{figures['smallest_gate']:.3g} to {figures['largest_gate']:.3g}.",
        figures=figures,
    )


def _copied(model: Seq2Seq) -> Verdict:
    parameters = dict(model.model.named_parameters(remove_duplicate=False))
    moved: dict[int, float] = {}  # layer -> the largest relative change of a tensor
    for name, origin in copies_of_self_attention(model.model).items():
        layer = int(name.split(".")[2])
        now = parameters[name].detach()
        began = copied_part(name, parameters[origin].detach(), now)
        change = 0.0
        if not torch.equal(now, began):
            size = float(began.float().norm())
            change = float((now - began).float().norm()) / size if size else 1.0
        moved[layer] = max(moved.get(layer, 0.0), change)
    still = [layer for layer, change in moved.items() if change == 0.0]
    figures = {
        "layers": len(moved),
        "layers_as_copied": len(still),
        "largest_relative_change": max(moved.values()),
    }
    if still:
        return Verdict(
            status="warning",
            what=f"Cross-attention of {len(still)} of {len(moved)} layers equals its own layer's "
            f"self-attention bit for bit{_which(still, moved)}: it is still the copy.",
            remedy=_REMEDY,
            figures=figures,
        )
    return Verdict(
        status="ok",
        what=f"Cross-attention of all {len(moved)} layers differs from the self-attention that it "
        f"was copied from, by up to {figures['largest_relative_change']:.2%}.",
        figures=figures,
    )


def _random(model: Seq2Seq) -> Verdict:
    scale = model.model.config.decoder.initializer_range
    ratios: list[float] = []
    still = []
    count = 0
    for layer, attention in _layers(model):
        matrices = list(_matrices(attention))
        ratios += [float(matrix.std()) / scale for matrix in matrices]
        biases = [
            parameter.detach()
            for name, parameter in attention.named_parameters()
            if name in ("query.bias", "key_value.bias", "output.bias")
        ]
        moved = any(bias.any() for bias in biases)
        if not moved and all(_fresh(matrix, scale) for matrix in matrices):
            still.append(layer)
        count += 1
    figures = {
        "layers": count,
        "layers_as_drawn": len(still),
        "initializer_range": scale,
        "smallest_ratio": min(ratios),
        "largest_ratio": max(ratios),
    }
    spread = (
        f"standard deviations {figures['smallest_ratio']:.3f} to {figures['largest_ratio']:.3f} "
        f"times the initial {scale:g}"
    )
    if still:
        return Verdict(
            status="warning",
            what=f"Cross-attention of {len(still)} of {count} layers has its initial random "
            f"values{_which(still, range(count))}: {spread}, and no bias differs from zero.",
            remedy=_REMEDY,
            figures=figures,
        )
    return Verdict(
        status="ok",
        what=f"Cross-attention of all {count} layers has left its start: {spread}.",
        figures=figures,
    )


def _fresh(matrix: Tensor, scale: float) -> bool:
    """Whether values look like a normal sample of that standard deviation.

    Tests the standard deviation and the fourth moment, each against its standard error in a sample
    of n normal numbers: 1 / sqrt(2 n) of it, and sqrt(96 / n) around 3.
    """
    values, count = matrix.flatten(), matrix.numel()
    std = float(values.std())
    if abs(std / scale - 1) > _DEVIATIONS / sqrt(2 * count):
        return False
    fourth = float(((values - values.mean()) / std).pow(4).mean())
    return abs(fourth - 3) <= _DEVIATIONS * sqrt(96 / count)


def _matrices(attention: CrossAttention) -> Iterator[Tensor]:
    """Query, key, value and output weights, in float32."""
    yield attention.query.weight.detach().float()
    yield from attention.key_value.weight.detach().float().chunk(2)
    yield attention.output.weight.detach().float()


def _layers(model: Seq2Seq) -> Iterator[tuple[int, CrossAttention]]:
    for layer, block in enumerate(model.model.decoder.blocks):
        assert isinstance(block, Block) and block.cross_attention is not None
        yield layer, block.cross_attention


def _which(layers: list[int], of: Sized) -> str:
    """Lists the layers, unless they are all."""
    if len(layers) == len(of):
        return ""
    return f" (layers {', '.join(map(str, layers))})"


CROSS_ATTENTION = Check(
    name="cross-attention",
    why="Cross-attention connects the source with the target. No checkpoint of a single stack has "
    "it, so only training gives it a meaning.",
    run=_run,
)
