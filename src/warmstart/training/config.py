"""How to fine-tune, as frozen values. Loads no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from warmstart.errors import UsageError

__all__ = ["Precision", "TrainConfig"]

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of one fine-tuning run.

    Defaults suit a base-size model and some 10,000 pairs.
    """

    output_dir: Path  # checkpoints, log.jsonl and, when done, final/
    max_steps: int = 2000  # optimizer steps, >= 1
    batch_size: int = 32  # examples of one pass, >= 1
    accumulation_steps: int = 1  # passes per optimizer step, >= 1; the update does not depend on it
    learning_rate: float = 1e-4  # peak, > 0; AdamW at batch 32
    # Peak of the parameters that no checkpoint gave, > 0; None: the same. New layers have far to
    # go, and a rate that suits them undoes what the others know.
    new_learning_rate: float | None = None
    warmup_steps: int = 200  # linear, from 0 to the peak; then linear to 0 at max_steps
    weight_decay: float = 0.01  # decoupled; not on biases and norms
    max_gradient_norm: float = 1.0  # gradients are scaled down to it; 0 is off
    dropout: float | None = None  # on embeddings and sublayers; None: the checkpoints' own
    attention_dropout: float = 0.0  # 0: with it CPUs and GPUs lose their fast attention kernels
    precision: Precision = "auto"  # auto: bfloat16 products where the hardware has them
    evaluate_every: int = 500  # optimizer steps; 0: only at the end
    evaluation_examples: int = 200  # of the validation split, decoded at each evaluation
    # Keeps the model that is best by it: "loss" on the validation examples, or a metric of the
    # task. Loss, because a model that copies its source gets high SARI and BLEU before it learns.
    best_metric: str = "loss"
    save_total_limit: int = 2  # checkpoints kept, the best among them; >= 1
    log_every: int = 25  # optimizer steps
    seed: int = 0  # of dropout and of the order of examples

    def __post_init__(self) -> None:
        object.__setattr__(self, "output_dir", Path(self.output_dir))  # a str is as good
        for name, least in (
            ("max_steps", 1),
            ("batch_size", 1),
            ("accumulation_steps", 1),
            ("warmup_steps", 0),
            ("evaluate_every", 0),
            ("evaluation_examples", 1),
            ("save_total_limit", 1),
            ("log_every", 1),
        ):
            if getattr(self, name) < least:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be {least} or more.")
        for name in ("learning_rate", "new_learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} is {value}; it must be above 0.")
        for name in ("dropout", "attention_dropout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 0 and below 1.")
        if self.weight_decay < 0 or self.max_gradient_norm < 0:
            raise UsageError("weight_decay and max_gradient_norm must be 0 or more.")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise UsageError(
                f"precision is '{self.precision}'; allowed are auto, float32 and bfloat16."
            )
