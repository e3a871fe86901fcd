"""Fine-tuning: a model and a task become a trained model."""

import logging
import math
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn
from transformers import set_seed

from warmstart.generation.generation_config import GenerationConfig
from warmstart.hub.card import Training, read_card
from warmstart.inference.convert import require_full_precision
from warmstart.model.attention import CrossAttention, SelfAttention
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.reading import report_task
from warmstart.tasks.task import Split, Task
from warmstart.text.round_trip import measure_round_trip
from warmstart.training.compiled import compiled_layers
from warmstart.training.facts import data_changes, training_facts
from warmstart.training.interruption import stop_requests
from warmstart.training.memory import out_of_memory_as_error
from warmstart.training.metrics_log import METRICS, MetricsLog, rewind
from warmstart.training.plot import CURVES, plot_curves
from warmstart.training.prepare import PreparedRun, prepare_run, shard
from warmstart.training.processes import join_processes, lost_peer_as_error, wait_for_all
from warmstart.training.recomputing import set_recomputing
from warmstart.training.run_folder import (
    ADAPTER,
    BASE,
    FINAL,
    RECIPE,
    Resume,
    locked_folder,
    prepare_folder,
)
from warmstart.training.samples import SAMPLES
from warmstart.training.state import Events, RunState, read_state
from warmstart.training.trackers import TrackerEvents
from warmstart.training.train_config import TrainConfig
from warmstart.training.trainer import Trainer

__all__ = ["TrainResult", "train"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """The outcome of a run.

    Attributes:
        steps: optimizer steps of the whole run.
        seconds: wall time of this call.
        loss: training loss at the end, in nats per target token: the mean of the last steps that
            were logged together.
        best_metric: name of the metric that chose the model; None without a validation split.
        best_value: its value on the validation split.
        best_step: the step of the chosen model.
        folder: the finished model folder.
    """

    steps: int
    seconds: float
    loss: float
    best_metric: str | None
    best_value: float | None
    best_step: int | None
    folder: Path


@lost_peer_as_error()
def train(
    model: Seq2Seq,
    task: Task,
    config: TrainConfig,
    *,
    resume: Resume = False,
    recipe: str | None = None,
) -> TrainResult:
    """Fine-tunes a model in place on a task's training split.

    During training the model is evaluated by decoding, and the best one is kept: at the end
    `model` holds its weights, and they are saved to ``output_dir/final``.

    Args:
        model: changed in place.
        task: with a "train" split, and a "validation" split if the best model is to be kept.
        config: settings.
        resume: whether to resume from the newest whole checkpoint in `config.output_dir`; "auto":
            if there is one.
        recipe: the run's recipe as YAML, kept in the folder as ``recipe.yaml``.

    Raises:
        Interrupted: after SIGTERM or Ctrl-C, once a checkpoint is saved.
        OutputError: if the output folder holds another run and `resume` is off, or cannot be
            written.
        TrainingError: if there is nothing to resume, or the loss diverges.
        UsageError: if the task has no training split, the best metric does not exist, nothing is
            to be trained, or the weights were quantized for decoding.
    """
    require_full_precision(model.model, "trained")
    run = prepare_run(model, task, _as_launched(config), resume=resume)
    processes = join_processes(config.device)
    run = shard(run, processes)
    # No process may look at the folder after the first one has filled it.
    wait_for_all()
    set_seed(run.config.seed)
    facts = training_facts(task, run.config)
    if run.checkpoint is not None:
        _warn_of_changed_data(run.checkpoint, facts)
    model.card = model.card.trained(facts)
    model.generation = _generation(model, run.split)
    began = time.monotonic()
    lock = locked_folder(run.config.output_dir) if processes.is_first else nullcontext()
    with lock, _in_training(run), stop_requests() as request:
        events = _open_folder(run, recipe) if processes.is_first else []
        trainer = Trainer(run, processes, events, request, _resume_command(run.config, recipe))
        try:
            with out_of_memory_as_error():
                trainer.train()
        finally:
            trainer.progress.stop()  # an interrupted run must restore the terminal
        if run.adapters is not None and processes.is_first:
            run.adapters.save(run.config.output_dir / ADAPTER, f"../{BASE}")
    model.model.eval()
    folder = run.config.output_dir / FINAL
    trainer.save_finished(folder)
    if processes.is_first:
        plot_curves(run.config.output_dir / METRICS, run.config.output_dir / CURVES)
    state = trainer.state
    validates = run.validation is not None
    return TrainResult(
        steps=state.step,
        seconds=time.monotonic() - began,
        loss=_last_loss(state),
        best_metric=run.config.best_metric if validates else None,
        best_value=state.best_value if validates else None,
        best_step=state.best_step if validates else None,
        folder=folder,
    )


def _generation(model: Seq2Seq, split: Split) -> GenerationConfig:
    """The task's decoding settings; the model's where it knows its tokenizer's need alone."""
    settings = split.generation
    if settings.detokenize is not None:
        return settings
    return replace(settings, detokenize=model.generation.detokenize)


def _as_launched(config: TrainConfig) -> TrainConfig:
    """Replaces the sharding of `accelerate launch`, which cannot share layers, by warmstart's."""
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() != "true":
        return config
    os.environ["ACCELERATE_USE_FSDP"] = "false"
    logger.info(
        "accelerate's FSDP is taken for parallel: fsdp; its other FSDP settings are not used"
    )
    return replace(config, parallel="fsdp")


@contextmanager
def _in_training(run: PreparedRun) -> Iterator[None]:
    """Within the block the model is as the settings want it; afterwards an ordinary one."""
    config, module = run.config, run.module
    run.trained.prepare()
    _set_dropout(module, config)
    set_recomputing(module, config.activation_checkpointing)
    try:
        with compiled_layers(run.model.model) if config.compile else nullcontext():
            yield
    finally:
        run.trained.release()
        if run.adapters is not None:
            run.adapters.merge()
        set_recomputing(module, False)


def _open_folder(run: PreparedRun, recipe: str | None) -> list[Events]:
    """Describes the data, prepares the run's folder, and opens its logs."""
    config = run.config
    lengths = (run.examples.rows.source_lengths, run.examples.rows.target_lengths)
    round_trip = measure_round_trip(run.model.tokenizers, run.split.examples)
    logger.info("%s", report_task(run.task, {"train": lengths}, {"train": round_trip}))
    log = MetricsLog(config.output_dir / METRICS)
    if run.checkpoint is None:
        prepare_folder(config, recipe)
        if run.adapters is not None:
            run.adapters.merged(run.model).save_pretrained(config.output_dir / BASE)
    else:
        history = read_state(run.checkpoint, config.max_steps).history
        for name in (METRICS, SAMPLES):
            rewind(config.output_dir / name, history)
        log.resume()
    if not config.report_to:
        return [log]
    return [log, TrackerEvents(config, run.first_step)]


def _warn_of_changed_data(checkpoint: Path, now: Training) -> None:
    card = read_card(checkpoint)
    if card is None or not card.trainings:
        return
    changes = data_changes(card.trainings[-1], now)
    if changes:
        logger.warning(
            "The data has changed since %s was written: %s. The run continues at its step with the "
            "new data; for a run over the new data alone, train into another folder.",
            checkpoint,
            "; ".join(changes),
            extra={"everywhere": True},
        )


def _last_loss(state: RunState) -> float:
    losses = [float(event["loss"]) for event in state.history if "loss" in event]
    return losses[-1] if losses else math.nan


def _resume_command(config: TrainConfig, recipe: str | None) -> str:
    if recipe is None:
        return "train(model, task, config, resume=True)"
    return f"warmstart train {shlex.quote(str(config.output_dir / RECIPE))} --resume"


def _set_dropout(model: nn.Module, config: TrainConfig) -> None:
    for name, module in model.named_modules():
        of_model = isinstance(module, nn.Dropout) and ".lora_" not in name
        if of_model and config.dropout is not None:
            module.p = config.dropout
        if isinstance(module, SelfAttention | CrossAttention):
            module.config = replace(module.config, dropout=config.attention_dropout)
