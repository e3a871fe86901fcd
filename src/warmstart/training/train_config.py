"""Settings of fine-tuning, as frozen values. Loads no torch."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AllowInfNan

from warmstart.errors import UsageError
from warmstart.model.loading_types import Device
from warmstart.validation import Check, Hint, validate

__all__ = [
    "PAPER_WARMUP_STEPS",
    "Lora",
    "LoraTarget",
    "Optimizer",
    "Part",
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


def _checkpoint_name(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Path):
        return os.fspath(value)
    raise ValueError("give a folder or a hub id.")


_Steps = Annotated[int, Ge(0)]
_Rate = Annotated[float, Gt(0)]
_Probability = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Low-rank adapters, trained in place of all weights; see `training/lora.py`."""

    rank: Annotated[int, Ge(1)] = 16
    """Inner width of an adapter."""

    alpha: Annotated[float, Gt(0)] = 32.0
    """The output of an adapter is multiplied by alpha / rank."""

    dropout: _Probability = 0.0
    """On the input of an adapter."""

    targets: Annotated[tuple[LoraTarget, ...], MinLen(1)] | None = None
    """Modules whose linear layers get an adapter. None: all of them, except that new parameters
    are trained in full instead."""

    def __post_init__(self) -> None:
        validate(self, prefix="lora.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of one fine-tuning run.

    Defaults suit a base-size model and some 10,000 pairs.

    Raises:
        UsageError: if a value is not allowed, or settings exclude each other.
    """

    output_dir: Path
    """The run's folder: checkpoints, metrics.jsonl and, at the end, final/."""

    max_steps: Annotated[int, Ge(1)] = 2000
    """Optimizer steps."""

    batch_size: Annotated[int, Ge(1)] = 32
    """Examples of one pass."""

    batch_tokens: Annotated[int, Ge(1)] | None = None
    """Tokens of one pass, sources and targets together, in place of batch_size; None: off. Steps
    then cost the same, whatever the lengths of the examples."""

    accumulation_steps: Annotated[int, Ge(1)] = 1
    """Passes per optimizer step; the update does not depend on it."""

    activation_checkpointing: bool = False
    """Computes the activations of a layer again in the backward pass instead of keeping them: far
    less memory, a third more work, the same gradient."""

    compile: bool = False
    """Feed-forward layers as compiled kernels (torch.compile). Needs a C++ compiler and a minute
    before the first step, so it is for long runs."""

    edit_weight: Annotated[float, Ge(0)] = 1.0
    """Factor of the loss of a target token that the source does not have: above 1 where most of a
    text is copied and the rest matters."""

    parallel: Parallel = "ddp"
    """With several processes: ddp, each holds the whole model; fsdp, each holds a shard of its
    weights, gradients and optimizer state, for models that are too large otherwise."""

    label_smoothing: _Probability = 0.0
    """Share of the probability spread evenly over the vocabulary."""

    teacher: Annotated[str | None, Check(_checkpoint_name)] = None
    """Folder or hub id of a model whose distributions are learnt, too."""

    distillation_weight: Annotated[float, Gt(0), Le(1)] = 0.5
    """The teacher's share of the loss."""

    distillation_temperature: Annotated[float, Gt(0)] = 1.0
    """Divides the logits of teacher and student."""

    r_drop: Annotated[float, Ge(0)] = 0.0
    """Weight of the divergence between two dropout passes over a batch; 0: one pass. 1 to 5 are
    usual."""

    optimizer: Optimizer = "adamw"
    """adafactor: a fraction of the memory of adamw, slower steps."""

    learning_rate: _Rate = _LEARNING_RATE
    """Peak; for AdamW at batch 32."""

    new_learning_rate: _Rate | None = None
    """Peak of the parameters that come from no checkpoint; None: the same. New layers have far to
    go, and a rate that suits them damages the others."""

    layer_decay: Annotated[float, Gt(0), Le(1)] = 1.0
    """Factor of a layer's rate for each layer above it in its half. Not for new parameters."""

    warmup_steps: _Steps = _WARMUP_STEPS
    """Optimizer steps, linear from 0 to the peak."""

    schedule: Schedule = "linear"
    """From the peak: to 0 at max_steps, linear or as a half cosine; by one over the square root of
    the step; or constant. paper: inverse_sqrt with its own rate and warm-up."""

    weight_decay: Annotated[float, Ge(0)] = 0.01
    """Decoupled; not on biases, norms and gates."""

    max_gradient_norm: Annotated[float, Ge(0), AllowInfNan(), Hint("0 is off")] = 1.0
    """Greater gradients are scaled down to it; 0: off."""

    freeze: tuple[Part, ...] = ()
    """Parts that stay as they are: encoder, decoder (with its head, without its cross-attention),
    embeddings, all but cross-attention."""

    cross_attention_steps: _Steps = 0
    """First optimizer steps, which train only cross-attention and new parameters."""

    encoder_frozen_steps: _Steps = 0
    """First optimizer steps, which do not train the encoder."""

    lora: Lora | None = None
    """Trains adapters and new parameters; None: all weights."""

    dropout: _Probability | None = None
    """On embeddings and sublayers; None: the checkpoints' own."""

    attention_dropout: _Probability = 0.0
    """On attention weights. Above 0, CPUs and GPUs lose their fast attention kernels."""

    device: Device = None
    """Device to train on: cpu, cuda or mps; None: a CUDA GPU, or without one the CPU. Several
    processes have a GPU each, or are all on the CPU."""

    precision: Precision = "auto"
    """auto: bfloat16 products where the hardware has them."""

    evaluate_every: Annotated[int, Ge(0), Hint("0 evaluates at the end only")] = 500
    """Optimizer steps between evaluations; 0: only at the end."""

    evaluation_examples: Annotated[int, Ge(1)] = 200
    """Validation examples decoded at each evaluation."""

    samples: Annotated[int, Ge(0)] = 8
    """Outputs of these that are kept in samples.jsonl at each evaluation; three are shown."""

    best_metric: str = "loss"
    """Chooses the model that is kept: loss on the validation examples, or a metric of the task.
    Loss, because a model that copies its source gets high SARI and BLEU before it learns."""

    save_total_limit: Annotated[int, Ge(1)] = 2
    """Checkpoints kept, the best and the newest among them."""

    max_loss: Annotated[float, Gt(0), AllowInfNan()] | None = None
    """Nats per target token; a step with more ends the run. None: three times the loss of a uniform
    distribution (the logarithm of the vocabulary's size), or twice the first step's loss."""

    log_every: Annotated[int, Ge(1)] = 25
    """Optimizer steps between lines of metrics.jsonl."""

    report_to: tuple[Tracker, ...] = ()
    """Trackers: tensorboard (files in output_dir), trackio."""

    seed: int = 0
    """Of dropout and of the order of examples."""

    data_workers: Annotated[int, Ge(0)] = 0
    """Processes that prepare batches; 0: none, which costs a CPU nothing; 1 or 2 for a GPU."""

    def __post_init__(self) -> None:
        validate(self)
        if self.teacher is None:
            self._check_distillation()
        own = (self.learning_rate, self.warmup_steps) == (_LEARNING_RATE, _WARMUP_STEPS)
        if self.schedule == "paper" and not own:
            raise UsageError(
                "The schedule 'paper' has its own learning_rate and warmup_steps; leave both out, "
                "or use schedule 'inverse_sqrt'."
            )

    def _check_distillation(self) -> None:
        for name, field in self.__dataclass_fields__.items():
            if name.startswith("distillation_") and getattr(self, name) != field.default:
                raise UsageError(
                    f"{name} is {getattr(self, name)}, but there is no teacher; name one (teacher: "
                    "FOLDER), or leave it out."
                )
