"""The preparation of a run: checks, examples, teacher, adapters. Nothing is written."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from warmstart.checkpoint.files import open_checkpoint
from warmstart.composition.saved_model import open_model
from warmstart.errors import UsageError, did_you_mean, same_on_all_ranks
from warmstart.metrics.all_metrics import get_metric
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.task import Split, Task
from warmstart.training.batches import TokenizedExamples
from warmstart.training.distillation import Teacher, load_teacher
from warmstart.training.effective_batch import keep_batch
from warmstart.training.lora import Adapters, add_adapters
from warmstart.training.parameters import TrainedParameters, new_parameters
from warmstart.training.processes import Processes
from warmstart.training.run_folder import (
    BASE,
    Resume,
    check_output_folder,
    checkpoint_to_resume,
)
from warmstart.training.sharding import ShardedCopy
from warmstart.training.trackers import check_trackers
from warmstart.training.train_config import TrainConfig

__all__ = ["PreparedRun", "prepare_run", "shard", "uses_bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """A run with checked settings.

    Attributes:
        model: with its adapters, if any.
        task: its splits.
        config: as the run obeys it, for this number of processes.
        checkpoint: to resume from; None: a new run.
        examples: of the training split.
        validation: the examples that the run evaluates on; None: it does not.
        teacher: model whose distributions are learnt, too.
        adapters: on the model.
        trained: the parameters that are trained, by step.
        sharded: copy of the model that is trained in its place.
    """

    model: Seq2Seq
    task: Task
    config: TrainConfig
    checkpoint: Path | None
    examples: TokenizedExamples
    validation: Split | None
    teacher: Teacher | None
    adapters: Adapters | None
    trained: TrainedParameters
    sharded: ShardedCopy | None = None

    @property
    def module(self) -> EncoderDecoder:
        """The module that is trained."""
        return self.model.model if self.sharded is None else self.sharded.model

    @property
    def split(self) -> Split:
        """The training split."""
        return self.task.split("train")

    @property
    def first_step(self) -> int:
        """Steps done before, by the run that is resumed."""
        return 0 if self.checkpoint is None else int(self.checkpoint.name.rpartition("-")[2])

    @property
    def evaluate_every(self) -> int:
        """Steps between evaluations, and between checkpoints."""
        return self.config.evaluate_every or self.config.max_steps


def prepare_run(
    model: Seq2Seq,
    task: Task,
    config: TrainConfig,
    *,
    resume: Resume,
    weights: bool = True,
) -> PreparedRun:
    """Checks a run and reads its data, teacher and base.

    Args:
        model: gets the adapters that the settings ask for.
        task: see `train`.
        config: see `train`.
        resume: see `train`.
        weights: False: the model has none and none are read.

    Raises:
        WarmstartError: as `train`, before its first step.
    """
    check_trackers(config.report_to)
    with same_on_all_ranks():
        check_output_folder(config.output_dir, resume=resume)
        checkpoint = checkpoint_to_resume(config.output_dir, resume=resume)
        if checkpoint is not None:
            processes = int(os.environ.get("WORLD_SIZE", "1"))  # torchrun sets it
            config = keep_batch(config, processes, checkpoint)
    validation = _validation_split(task, config)
    split = task.split("train")
    examples = TokenizedExamples(
        model,
        split.examples,
        split.max_source_length,
        split.max_target_length,
        edit_weight=config.edit_weight,
    )
    _check_r_drop(model.model, config)
    teacher = load_teacher(model, examples, config, weights=weights)
    new = new_parameters(model.model, model.provenance)
    adapters = None
    if config.lora is not None:
        if checkpoint is not None and weights:
            base = open_model(model.composition, open_checkpoint(config.output_dir / BASE)).load()
            model.model.load_state_dict(base.state_dict())
        adapters = add_adapters(model.model, config.lora, new, config.seed)
    return PreparedRun(
        model=model,
        task=task,
        config=config,
        checkpoint=checkpoint,
        examples=examples,
        validation=validation,
        teacher=teacher,
        adapters=adapters,
        trained=TrainedParameters(model.model, config, new),
    )


def shard(run: PreparedRun, processes: Processes) -> PreparedRun:
    """Spreads the model over the processes, if the settings ask for it.

    Raises:
        UsageError: if the settings need whole parameters.
    """
    config, model = run.config, run.model
    if config.parallel != "fsdp" or processes.count == 1:
        return run
    if config.optimizer == "adafactor":
        raise UsageError(
            "optimizer 'adafactor' needs each parameter whole, which parallel 'fsdp' does not keep "
            "anywhere; use optimizer 'adamw', or parallel 'ddp'."
        )
    if config.lora is not None:
        raise UsageError(
            "lora trains too little for parallel 'fsdp' to save anything; use parallel 'ddp', or "
            "leave lora out."
        )
    model.to("cpu")
    sharded = ShardedCopy(model.model, processes.device)
    new = new_parameters(sharded.model, model.provenance)
    return replace(run, sharded=sharded, trained=TrainedParameters(sharded.model, config, new))


def uses_bfloat16(config: TrainConfig) -> bool:
    """Whether products are in bfloat16, on this machine."""
    if config.precision != "auto":
        return config.precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _validation_split(task: Task, config: TrainConfig) -> Split | None:
    if "train" not in task.splits:
        raise UsageError(
            f"The task {task.definition.name} has no training data; give data.train a file."
        )
    if "validation" not in task.splits:
        return None
    split = task.split("validation")
    _check_best_metric(split, config.best_metric)
    return replace(split, examples=split.examples[: config.evaluation_examples])


def _check_best_metric(validation: Split, name: str) -> None:
    allowed = ["loss", *validation.metrics]
    if name not in allowed:
        raise UsageError(
            f"best_metric is '{name}', which this task does not measure; "
            f"{did_you_mean(name, allowed)}"
        )
    if name != "loss" and get_metric(name).better == "neither":
        raise UsageError(
            f"best_metric is '{name}', which describes outputs and does not say which are better; "
            "choose another of the task's metrics, or 'loss'."
        )


def _check_r_drop(model: nn.Module, config: TrainConfig) -> None:
    """Refuses to compare two passes that are the same because nothing is dropped."""
    rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    if config.dropout is not None:
        rates = [config.dropout]
    if config.r_drop and not any([*rates, config.attention_dropout]):
        raise UsageError(
            f"r_drop is {config.r_drop}, which compares two passes with dropout, but every dropout "
            "is 0, so they would be the same; set dropout: 0.1, or r_drop: 0."
        )
