"""The parameters that are trained, the steps at which they are, and their learning rates."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from warmstart.composition.provenance import Provenance
from warmstart.errors import UsageError
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.training.train_config import PAPER_WARMUP_STEPS, Part, TrainConfig

__all__ = ["Group", "TrainedParameters", "new_parameters", "parameter_groups", "peak_rate"]

# Identities of parameters: a shared one has several names and one identity.
Identities = frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Parameters with the same learning rate and weight decay.

    Attributes:
        names: of the parameters; a shared one by its first name, which is the encoder's.
        parameters: each once.
        learning_rate: peak.
        weight_decay: decoupled.
    """

    names: tuple[str, ...]
    parameters: tuple[nn.Parameter, ...]
    learning_rate: float
    weight_decay: float


def new_parameters(model: EncoderDecoder, provenance: Provenance | None) -> Identities:
    """The parameters without a single row from a checkpoint; none if the provenance is unknown."""
    if provenance is None:
        return frozenset()
    random = {entry.name for entry in provenance if entry.origin == "random"}
    random -= {entry.name for entry in provenance if entry.origin in ("leveraged", "copied")}
    return _identities(model, lambda name: name in random)


def peak_rate(model: EncoderDecoder, config: TrainConfig) -> float:
    """The learning rate at the end of warm-up.

    The paper's is 0.05 over the square root of the hidden size, times that of the step after
    40,000 steps of warm-up (Rothe et al. 2020, section 2): 9.0e-6 for a base-size model.
    """
    if config.schedule != "paper":
        return config.learning_rate
    return 0.05 / math.sqrt(model.config.decoder.hidden_size * PAPER_WARMUP_STEPS)


def parameter_groups(
    model: EncoderDecoder, config: TrainConfig, new: Identities
) -> tuple[Group, ...]:
    """All trained parameters, by learning rate and weight decay.

    - New parameters have the rate `new_learning_rate`, or else the full one.
    - Others have the full one times `layer_decay` for each layer above them in their half;
      embeddings are below the first layer, heads and bridges above the last. A parameter that both
      halves share has the encoder's depth.
    - Biases, norms and gates, which are vectors, and tables of relative biases do not decay.

    Args:
        model: with `requires_grad` set on the parameters to train.
        config: gives the rates.
        new: from `new_parameters`.

    Returns:
        First the group at the full rate, which is the one that is logged.
    """
    peak = peak_rate(model, config)
    members: dict[tuple[float, float], dict[str, nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in new:
            rate = peak if config.new_learning_rate is None else config.new_learning_rate
        else:
            rate = peak * config.layer_decay ** _layers_above(model, name)
        decays = parameter.dim() > 1 and "relative_bias" not in name
        key = (rate, config.weight_decay if decays else 0.0)
        members.setdefault(key, {})[name] = parameter
    ordered = sorted(members, key=lambda key: (key[0] != peak, -key[0], -key[1]))
    return tuple(
        Group(
            names=tuple(members[key]),
            parameters=tuple(members[key].values()),
            learning_rate=key[0],
            weight_decay=key[1],
        )
        for key in ordered
    )


def _layers_above(model: EncoderDecoder, name: str) -> int:
    half, *rest = name.split(".")
    stack = {"encoder": model.encoder, "decoder": model.decoder}.get(half)
    if stack is None:  # the head, the bridge
        return 0
    layers = len(stack.blocks)
    match rest:
        case ["blocks", layer, *_]:
            return layers - 1 - int(layer)
        case ["final_norm", *_]:
            return 0
    return layers


class TrainedParameters:
    """The parameters that are trained at each step of a run; the rest is frozen.

    They depend on the step alone, so a resumed run trains the same ones. A shared parameter is
    frozen with any of the parts that it belongs to.

    Args:
        model: its parameters are frozen during the run.
        config: names the parts and the steps.
        new: from `new_parameters`.

    Raises:
        UsageError: if nothing would be trained, at any step or at some.
    """

    def __init__(self, model: EncoderDecoder, config: TrainConfig, new: Identities) -> None:
        self.config = config
        self.initial = {p: p.requires_grad for p in model.parameters()}
        frozen = {i for part in config.freeze for i in _part(model, part)}
        self.trainable = [
            p for p, trained in self.initial.items() if trained and id(p) not in frozen
        ]
        self.encoder = _part(model, "encoder")
        self.first = new | _identities(model, _is_cross_attention)
        if not self.trainable:
            raise UsageError(
                f"freeze leaves nothing to train; remove one of its parts: "
                f"{', '.join(config.freeze)}."
            )
        for option in ("cross_attention_steps", "encoder_frozen_steps"):
            steps = getattr(config, option)
            if steps and not any(self._trained_at(p, steps - 1) for p in self.trainable):
                raise UsageError(
                    f"{option} is {steps}, but this model has nothing to train in these steps; "
                    "set it to 0."
                )

    def prepare(self) -> None:
        """Sets ``requires_grad`` on every parameter that is trained at some step."""
        ever = {id(p) for p in self.trainable}
        for parameter in self.initial:
            parameter.requires_grad_(id(parameter) in ever)

    def apply_step(self, step: int) -> None:
        """Freezes all but the parameters trained at a step, counted from 0."""
        for parameter in self.trainable:
            parameter.requires_grad_(self._trained_at(parameter, step))

    def release(self) -> None:
        """Restores ``requires_grad`` as it was before the run."""
        for parameter, trained in self.initial.items():
            parameter.requires_grad_(trained)

    def _trained_at(self, parameter: nn.Parameter, step: int) -> bool:
        if step < self.config.cross_attention_steps and id(parameter) not in self.first:
            return False
        return step >= self.config.encoder_frozen_steps or id(parameter) not in self.encoder


def _part(model: EncoderDecoder, part: Part) -> Identities:
    """The parameters of a part. Cross-attention and the bridge belong to neither half."""
    match part:
        case "encoder":
            return _identities(model, lambda name: name.startswith("encoder."))
        case "decoder":
            return _identities(
                model,
                lambda name: (
                    name.startswith(("decoder.", "head.")) and not _is_cross_attention(name)
                ),
            )
        case "embeddings":
            return _identities(model, lambda name: ".embedding." in name)
        case "all but cross-attention":
            return _identities(model, lambda name: not _is_cross_attention(name))


def _is_cross_attention(name: str) -> bool:
    return ".cross_attention." in name or name.startswith("bridge.")


def _identities(model: EncoderDecoder, chosen: Callable[[str], bool]) -> Identities:
    everywhere = model.named_parameters(remove_duplicate=False)  # every name of a shared one
    return frozenset(id(parameter) for name, parameter in everywhere if chosen(name))
