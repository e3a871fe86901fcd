"""How to fine-tune, as frozen values. Loads no torch."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from warmstart.errors import UsageError, did_you_mean

__all__ = [
    "PAPER_WARMUP_STEPS",
    "Lora",
    "LoraTarget",
    "Optimizer",
    "Parallel",
    "Part",
    "Precision",
    "Schedule",
    "Tracker",
    "TrainConfig",
]

Precision = Literal["auto", "float32", "bfloat16"]
Optimizer = Literal["adamw", "adafactor"]
Schedule = Literal["linear", "cosine", "inverse_sqrt", "constant", "paper"]
Parallel = Literal["ddp", "fsdp"]
Tracker = Literal["tensorboard", "trackio"]
Part = Literal["encoder", "decoder", "embeddings", "all but cross-attention"]
LoraTarget = Literal["self_attention", "cross_attention", "feed_forward"]

PAPER_WARMUP_STEPS: Final = 40_000  # Rothe et al. 2020, sections 2 to 4
_LEARNING_RATE: Final = 1e-4
_WARMUP_STEPS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Low-rank adapters in the place of all weights, see `training/lora.py`."""

    rank: int = 16  # inner width of an adapter, >= 1
    alpha: float = 32.0  # an adapter's output is multiplied by alpha / rank; > 0
    dropout: float = 0.0  # on what an adapter reads, at least 0, below 1
    # Whose linear layers get an adapter: "self_attention", "cross_attention", "feed_forward".
    # None: all of them, but what no checkpoint gave is trained in full instead.
    targets: tuple[LoraTarget, ...] | None = None

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UsageError(f"lora.rank is {self.rank}; it must be 1 or more.")
        if not 0 < self.alpha < math.inf:
            raise UsageError(f"lora.alpha is {self.alpha}; it must be above 0.")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"lora.dropout is {self.dropout}; it must be at least 0 and below 1.")
        if self.targets is None:
            return
        given: object = self.targets
        if isinstance(given, str) or not self.targets:
            raise UsageError(
                f"lora.targets is {given!r}; give a list of some of "
                f"{', '.join(get_args(LoraTarget))}."
            )
        object.__setattr__(self, "targets", tuple(self.targets))
        for target in self.targets or ():
            _check_name("lora.targets", target, get_args(LoraTarget))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of one fine-tuning run.

    Defaults suit a base-size model and some 10,000 pairs.
    """

    output_dir: Path  # checkpoints, metrics.jsonl and, when done, final/
    max_steps: int = 2000  # optimizer steps, >= 1
    batch_size: int = 32  # examples of one pass, >= 1
    # Tokens of one pass, sources and targets together, >= 1, in place of batch_size; None: off.
    # Steps then cost alike, however long the examples are.
    batch_tokens: int | None = None
    accumulation_steps: int = 1  # passes per optimizer step, >= 1; the update does not depend on it
    # Whether a layer's activations are computed once more in the backward pass rather than kept:
    # far less memory, a third more work, the same gradient.
    activation_checkpointing: bool = False
    # Feed-forward layers as compiled kernels (torch.compile). It needs a C++ compiler and a minute
    # before the first step, so it is for long runs.
    compile: bool = False
    # What the loss of a target token is multiplied by if the source does not have it, >= 0: above
    # 1 where most of a text is copied and the rest is what matters.
    edit_weight: float = 1.0
    # With several processes: ddp, each holds the whole model; fsdp, each a part of its weights,
    # gradients and optimizer state, for models that are too large otherwise.
    parallel: Parallel = "ddp"
    label_smoothing: float = 0.0  # share spread evenly over the vocabulary, at least 0, below 1
    teacher: str | None = None  # folder or hub id of a model whose distributions are learnt, too
    distillation_weight: float = 0.5  # the teacher's share of the loss, above 0, at most 1
    distillation_temperature: float = 1.0  # logits of both are divided by it, > 0
    # How much two dropout passes over a batch may not differ, >= 0; 0: one pass. 1 to 5 are usual.
    r_drop: float = 0.0
    optimizer: Optimizer = "adamw"  # adafactor: a fraction of its memory, slower steps
    learning_rate: float = _LEARNING_RATE  # peak, > 0; AdamW at batch 32
    # Peak of the parameters that no checkpoint gave, > 0; None: the same. New layers have far to
    # go, and a rate that suits them undoes what the others know.
    new_learning_rate: float | None = None
    # What a layer's rate is multiplied by for each layer above it in its half, above 0, at most 1.
    # Not for the parameters that no checkpoint gave.
    layer_decay: float = 1.0
    warmup_steps: int = _WARMUP_STEPS  # linear, from 0 to the peak, >= 0
    # From the peak: to 0 at max_steps in a line or a half cosine; by one over the square root of
    # the step; or not at all. paper: inverse_sqrt with a rate and warm-up of its own.
    schedule: Schedule = "linear"
    weight_decay: float = 0.01  # decoupled, >= 0; not on biases, norms and gates
    max_gradient_norm: float = 1.0  # gradients are scaled down to it; 0 is off
    # Parts that stay as they are: "encoder", "decoder" (its head, too, but not its
    # cross-attention), "embeddings", "all but cross-attention".
    freeze: tuple[Part, ...] = ()
    cross_attention_steps: int = 0  # optimizer steps at first for cross-attention and what is new
    encoder_frozen_steps: int = 0  # optimizer steps at first without the encoder
    lora: Lora | None = None  # trains adapters and what is new; None: all weights
    dropout: float | None = None  # on embeddings and sublayers; None: the checkpoints' own
    attention_dropout: float = 0.0  # 0: with it CPUs and GPUs lose their fast attention kernels
    precision: Precision = "auto"  # auto: bfloat16 products where the hardware has them
    evaluate_every: int = 500  # optimizer steps; 0: only at the end
    evaluation_examples: int = 200  # of the validation split, decoded at each evaluation
    # Of these, outputs that are kept in samples.jsonl at each evaluation, >= 0; three are shown.
    samples: int = 8
    # Keeps the model that is best by it: "loss" on the validation examples, or a metric of the
    # task. Loss, because a model that copies its source gets high SARI and BLEU before it learns.
    best_metric: str = "loss"
    save_total_limit: int = 2  # checkpoints kept, the best and the newest among them; >= 1
    # Nats per target token, > 0; a step with more ends the run. None: three times what guessing
    # evenly costs (the logarithm of the vocabulary's size), or twice the first step's loss.
    max_loss: float | None = None
    log_every: int = 25  # optimizer steps
    report_to: tuple[Tracker, ...] = ()  # "tensorboard" (files in output_dir), "trackio"
    seed: int = 0  # of dropout and of the order of examples
    # Processes that prepare batches, >= 0; 0: none, which costs a CPU nothing; 1 or 2 for a GPU.
    data_workers: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "output_dir", Path(self.output_dir))  # a str is as good
        for name, least in (
            ("max_steps", 1),
            ("batch_size", 1),
            ("batch_tokens", 1),
            ("accumulation_steps", 1),
            ("warmup_steps", 0),
            ("cross_attention_steps", 0),
            ("encoder_frozen_steps", 0),
            ("evaluate_every", 0),
            ("evaluation_examples", 1),
            ("samples", 0),
            ("save_total_limit", 1),
            ("log_every", 1),
            ("data_workers", 0),
        ):
            if getattr(self, name) is not None and getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be {least} or more.")
        above_zero = ("learning_rate", "new_learning_rate", "max_loss", "distillation_temperature")
        for name in above_zero:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} is {value}; it must be above 0.")
        for name in ("dropout", "attention_dropout", "label_smoothing"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 0 and below 1.")
        if self.weight_decay < 0 or self.max_gradient_norm < 0:
            raise UsageError("weight_decay and max_gradient_norm must be 0 or more.")
        if not 0 < self.layer_decay <= 1:
            raise UsageError(
                f"layer_decay is {self.layer_decay}; it must be above 0 and at most 1."
            )
        if not 0 < self.distillation_weight <= 1:
            raise UsageError(
                f"distillation_weight is {self.distillation_weight}; it must be above 0 and at "
                "most 1."
            )
        for name in ("edit_weight", "r_drop"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be 0 or more.")
        self._check_teacher()
        _check_name("precision", self.precision, get_args(Precision))
        _check_name("optimizer", self.optimizer, get_args(Optimizer))
        _check_name("parallel", self.parallel, get_args(Parallel))
        _check_name("schedule", self.schedule, get_args(Schedule))
        for field, allowed in (("freeze", Part), ("report_to", Tracker)):
            given = getattr(self, field)
            if isinstance(given, str):  # else each letter would be a name
                raise UsageError(f"{field} is '{given}'; give a list: ['{given}'].")
            object.__setattr__(self, field, tuple(given))
            for name in given:
                _check_name(field, name, get_args(allowed))
        own = (self.learning_rate, self.warmup_steps) == (_LEARNING_RATE, _WARMUP_STEPS)
        if self.schedule == "paper" and not own:
            raise UsageError(
                "The schedule 'paper' has a learning_rate and warmup_steps of its own; leave both "
                "out, or use schedule 'inverse_sqrt'."
            )

    def _check_teacher(self) -> None:
        if self.teacher is not None:
            object.__setattr__(self, "teacher", str(self.teacher))  # a path is as good
            return
        for name, field in self.__dataclass_fields__.items():
            if name.startswith("distillation_") and getattr(self, name) != field.default:
                raise UsageError(
                    f"{name} is {getattr(self, name)}, but there is no teacher; name one (teacher: "
                    "FOLDER), or leave it out."
                )


def _check_name(field: str, name: str, allowed: tuple[str, ...]) -> None:
    if name not in allowed:
        raise UsageError(f"{field} is '{name}'; {did_you_mean(name, allowed)}")
