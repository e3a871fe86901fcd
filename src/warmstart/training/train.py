"""Fine-tuning: a model and a task become a trained model."""

import logging
import math
import os
import shlex
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from transformers import PrinterCallback, TrainerState, TrainingArguments, set_seed

from warmstart.checkpoint.files import open_checkpoint
from warmstart.composition.saved import open_model
from warmstart.errors import UsageError, alike, did_you_mean
from warmstart.inference.convert import require_full_precision
from warmstart.metrics.all_metrics import get_metric
from warmstart.model.attention import CrossAttention, SelfAttention
from warmstart.model.stack import Stack
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.reading import report_task
from warmstart.tasks.task import Split, Task
from warmstart.training.batches import TokenizedExamples
from warmstart.training.compiled import compiled_layers
from warmstart.training.config import PAPER_WARMUP_STEPS, Schedule, TrainConfig
from warmstart.training.distillation import load_teacher
from warmstart.training.effective_batch import kept_batch
from warmstart.training.facts import training_facts
from warmstart.training.interruption import stop_requests
from warmstart.training.lora import Adapters, add_adapters
from warmstart.training.memory import told_of_memory
from warmstart.training.meter import Meter
from warmstart.training.metrics_log import METRICS, MetricsLog, rewind
from warmstart.training.parameters import TrainedParameters, new_parameters, peak_rate
from warmstart.training.plot import CURVES, plot_curves
from warmstart.training.processes import told_of_others
from warmstart.training.progress import TrainingProgress
from warmstart.training.run_folder import (
    FINAL,
    RECIPE,
    Resume,
    check_output_folder,
    checkpoint_to_resume,
    prepare_folder,
)
from warmstart.training.samples import SAMPLES
from warmstart.training.sharding import ShardedCopy
from warmstart.training.trackers import check_trackers, tracker_callbacks
from warmstart.training.trainer import ADAPTER, BASE, Seq2SeqTrainer

__all__ = [
    "TrainResult",
    "check_r_drop",
    "set_recomputing",
    "tokenized_split",
    "train",
    "uses_bfloat16",
    "validation_split",
    "warmup_steps",
]

logger = logging.getLogger(__name__)

_SCHEDULES: Mapping[Schedule, str] = {
    "linear": "linear",
    "cosine": "cosine",
    "inverse_sqrt": "inverse_sqrt",
    "constant": "constant_with_warmup",
    "paper": "inverse_sqrt",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What a run came to.

    Attributes:
        steps: optimizer steps made, those before an interruption included.
        seconds: wall time of this call.
        loss: mean training loss in nats per target token.
        best_metric: name of the metric that chose the model; None without a validation split.
        best_value: its value.
        folder: the finished model folder.
    """

    steps: int
    seconds: float
    loss: float
    best_metric: str | None
    best_value: float | None
    folder: Path


@told_of_others()
def train(
    model: Seq2Seq,
    task: Task,
    config: TrainConfig,
    *,
    resume: Resume = False,
    recipe: str | None = None,
) -> TrainResult:
    """Fine-tunes a model in place on a task's training split.

    While training the model is evaluated by real decoding, and the best one is kept: at the end
    `model` holds its weights, and they are saved to ``output_dir/final``.

    Args:
        model: changed in place.
        task: with a "train" split, and a "validation" split if the best model is to be kept.
        config: settings.
        resume: whether to go on from the newest checkpoint in `config.output_dir` that is whole;
            "auto": if there is one.
        recipe: what the run was made from, as YAML; kept in the folder as ``recipe.yaml``.

    Raises:
        Interrupted: after SIGTERM or Ctrl-C, when a checkpoint is saved.
        OutputError: if the output folder holds another run and `resume` is off, or cannot be
            written.
        TrainingError: if there is nothing to resume, or the loss is lost.
        UsageError: if the task has no training split, the best metric does not exist, nothing is
            to be trained, or the weights were rounded for decoding.
    """
    require_full_precision(model.model, "trained")
    check_trackers(config.report_to)
    config = _as_launched(config)
    with alike():
        check_output_folder(config.output_dir, resume=resume)
        checkpoint = checkpoint_to_resume(config.output_dir, resume=resume)
        if checkpoint is not None:
            config = kept_batch(config, int(os.environ.get("WORLD_SIZE", "1")), checkpoint)
    validation = validation_split(task, config)
    split = task.split("train")
    examples = tokenized_split(model, split, config)
    check_r_drop(model.model, config)
    teacher = load_teacher(model, examples, config)
    new = new_parameters(model.model, model.provenance)
    adapters = _adapters(model, config, new, resume=checkpoint is not None)
    arguments = _arguments(model, config, validation)
    sharded = _sharded(model, config, arguments)
    module = model.model if sharded is None else sharded.model  # what is trained
    if sharded is not None:
        new = new_parameters(module, model.provenance)
    trained = TrainedParameters(module, config, new)
    if arguments.process_index == 0:
        lengths = (examples.rows.source_lengths, examples.rows.target_lengths)
        logger.info("%s", report_task(task, {"train": lengths}))
    # Every process has to have looked at the folder before the first one fills it.
    arguments.distributed_state.wait_for_everyone()
    if checkpoint is None and arguments.process_index == 0:
        prepare_folder(config, recipe)
    set_seed(config.seed + arguments.process_index)  # other dropout in each
    _set_dropout(module, config)
    set_recomputing(module, config.activation_checkpointing)
    log = MetricsLog(config.output_dir / METRICS)
    if checkpoint is not None and arguments.process_index == 0:
        history = TrainerState.load_from_json(str(checkpoint / "trainer_state.json")).log_history
        for name in (METRICS, SAMPLES):
            rewind(config.output_dir / name, history)
        log.go_on()
    trackers = []
    if arguments.process_index == 0:
        trackers = tracker_callbacks(config.report_to, config.output_dir, _step_of(checkpoint))
    model.card = model.card.trained(training_facts(task, config))
    meter = Meter()
    progress = TrainingProgress(
        meter, validates=validation is not None, shows=arguments.process_index == 0
    )
    started = time.monotonic()
    model.generation = split.generation
    if adapters is not None and checkpoint is None and arguments.process_index == 0:
        adapters.merged(model).save_pretrained(config.output_dir / BASE)
    try:
        trained.prepare()
        layers = compiled_layers(model.model) if config.compile else nullcontext()
        with stop_requests() as request, layers:
            trainer = Seq2SeqTrainer(
                model,
                arguments,
                examples,
                validation,
                callbacks=[log, *trackers],
                config=config,
                trained=trained,
                teacher=teacher,
                adapters=adapters,
                request=request,
                resume=_resume_command(config, recipe),
                meter=meter,
                progress=progress,
                sharded=sharded,
            )
            trainer.remove_callback(PrinterCallback)  # it writes to stdout, which is for results
            with told_of_memory():
                _run(trainer, checkpoint)
            if adapters is not None and arguments.process_index == 0:
                adapters.save(config.output_dir / ADAPTER, f"../{BASE}")
    finally:
        progress.stop()  # an interrupted run must give the terminal back
        trained.release()
        if adapters is not None:
            adapters.merge()
        set_recomputing(module, False)
    model.model.eval()
    folder = config.output_dir / FINAL
    trainer.save_finished(folder)
    if arguments.process_index == 0:
        plot_curves(config.output_dir / METRICS, config.output_dir / CURVES)
    metric = None if validation is None else _best_metric(validation, config)
    return TrainResult(
        steps=trainer.state.global_step,
        seconds=time.monotonic() - started,
        loss=_mean_loss(trainer.state),
        best_metric=metric,
        best_value=trainer.state.best_metric if metric is not None else None,
        folder=folder,
    )


def _as_launched(config: TrainConfig) -> TrainConfig:
    """Has our sharding where `accelerate launch` asks for its own, which knows no shared layers."""
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() != "true":
        return config
    os.environ["ACCELERATE_USE_FSDP"] = "false"
    logger.info(
        "accelerate's FSDP is taken for parallel: fsdp; its other FSDP settings are not used"
    )
    return replace(config, parallel="fsdp")


def _sharded(
    model: Seq2Seq, config: TrainConfig, arguments: TrainingArguments
) -> ShardedCopy | None:
    """What is trained in the place of the model, if it is to be spread over processes."""
    if config.parallel != "fsdp" or arguments.world_size == 1:
        return None
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
    return ShardedCopy(model.model, arguments.device)


def _run(trainer: Seq2SeqTrainer, checkpoint: Path | None) -> None:
    if checkpoint is not None:
        logger.info("resuming from %s", checkpoint)
        if _step_of(checkpoint) >= trainer.config.max_steps:
            trainer.finish(str(checkpoint))
            return
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


def _step_of(checkpoint: Path | None) -> int:
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])


def _mean_loss(state: TrainerState) -> float:
    """Over all steps of a run, those before an interruption included."""
    total, last = 0.0, 0
    for event in state.log_history:
        if "loss" in event:
            total += event["loss"] * (event["step"] - last)
            last = int(event["step"])
    return total / last if last else math.nan


def _resume_command(config: TrainConfig, recipe: str | None) -> str:
    if recipe is None:
        return "train(model, task, config, resume=True)"
    return f"warmstart train {shlex.quote(str(config.output_dir / RECIPE))} --resume"


def validation_split(task: Task, config: TrainConfig) -> Split | None:
    """The examples that a run evaluates on; None: it does not.

    Raises:
        UsageError: if there is nothing to train on, or the best metric does not exist.
    """
    if "train" not in task.splits:
        raise UsageError(
            f"The task {task.definition.name} has no training data; give data.train a file."
        )
    if "validation" not in task.splits:
        return None
    split = task.split("validation")
    split = replace(split, examples=split.examples[: config.evaluation_examples])
    _best_metric(split, config)
    return split


def _best_metric(validation: Split, config: TrainConfig) -> str:
    allowed = ["loss", *validation.metrics]
    if config.best_metric not in allowed:
        raise UsageError(
            f"best_metric is '{config.best_metric}', which this task does not measure; "
            f"{did_you_mean(config.best_metric, allowed)}"
        )
    if config.best_metric != "loss" and get_metric(config.best_metric).better == "neither":
        raise UsageError(
            f"best_metric is '{config.best_metric}', which describes outputs and does not say "
            "which are better; choose another of the task's metrics, or 'loss'."
        )
    return config.best_metric


def _set_dropout(model: nn.Module, config: TrainConfig) -> None:
    for name, module in model.named_modules():
        ours = isinstance(module, nn.Dropout) and ".lora_" not in name
        if ours and config.dropout is not None:
            module.p = config.dropout
        if isinstance(module, SelfAttention | CrossAttention):
            module.config = replace(module.config, dropout=config.attention_dropout)


def _adapters(
    model: Seq2Seq, config: TrainConfig, new: frozenset[int], *, resume: bool
) -> Adapters | None:
    """Puts adapters on the model, which is that of the run's start; None: there are to be none."""
    if config.lora is None:
        return None
    if resume:
        base = open_model(model.composition, open_checkpoint(config.output_dir / BASE)).load()
        model.model.load_state_dict(base.state_dict())
    return add_adapters(model.model, config.lora, new, config.seed)


def tokenized_split(model: Seq2Seq, split: Split, config: TrainConfig) -> TokenizedExamples:
    """The examples of the training split in token ids, as a run takes them."""
    return TokenizedExamples(
        model,
        split.examples,
        split.max_source_length,
        split.max_target_length,
        edit_weight=config.edit_weight,
    )


def check_r_drop(model: nn.Module, config: TrainConfig) -> None:
    """Refuses to compare two passes that are one and the same.

    Raises:
        UsageError: if nothing is ever dropped.
    """
    rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    if config.dropout is not None:
        rates = [config.dropout]
    if config.r_drop and not any([*rates, config.attention_dropout]):
        raise UsageError(
            f"r_drop is {config.r_drop}, which compares two passes with dropout, but every dropout "
            "is 0, so they would be the same; set dropout: 0.1, or r_drop: 0."
        )


def set_recomputing(model: nn.Module, recomputes: bool) -> None:
    """Switches activation checkpointing on or off."""
    for module in model.modules():
        if isinstance(module, Stack):
            module.recomputes = recomputes


def _arguments(model: Seq2Seq, config: TrainConfig, validation: Split | None) -> TrainingArguments:
    every = config.evaluate_every or config.max_steps
    best = None if validation is None else _best_metric(validation, config)
    arguments = TrainingArguments(
        output_dir=str(config.output_dir),
        max_steps=config.max_steps,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation_steps,
        learning_rate=peak_rate(model.model, config),
        warmup_steps=warmup_steps(config),
        max_grad_norm=config.max_gradient_norm,
        lr_scheduler_type=_SCHEDULES[config.schedule],
        bf16=uses_bfloat16(config),
        use_cpu=not torch.cuda.is_available(),
        seed=config.seed,
        eval_strategy="no" if validation is None else "steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        load_best_model_at_end=validation is not None,
        metric_for_best_model=best,
        greater_is_better=best not in (None, "loss") and get_metric(best).better == "higher",
        accelerator_config={"even_batches": False},  # passes differ in size, and none is left over
        logging_steps=config.log_every,
        logging_nan_inf_filter=False,  # it would log 0 for a loss that is lost
        remove_unused_columns=False,
        label_names=["labels"],
        disable_tqdm=True,  # we show a bar of our own, on stderr
        report_to="none",  # the trackers of `report_to` are callbacks of ours
        run_name=config.output_dir.name,
        project="warmstart",
    )
    # Not what accelerate's own configuration says: the recipe decides.
    arguments.mixed_precision = "bf16" if arguments.bf16 else "no"
    # A process drives one GPU, and torchrun starts one for each: the Trainer would else cut a batch
    # among all of them, and ours is packed.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def warmup_steps(config: TrainConfig) -> int:
    """Steps until the learning rate is at its peak."""
    if config.schedule == "paper":
        return PAPER_WARMUP_STEPS
    return min(config.warmup_steps, config.max_steps)


def uses_bfloat16(config: TrainConfig) -> bool:
    """Whether products are in bfloat16, on this machine."""
    if config.precision != "auto":
        return config.precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
