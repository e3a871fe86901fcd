"""Fine-tuning: a model and a task become a trained model."""

import json
import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn
from transformers import PrinterCallback, TrainingArguments, set_seed

from warmstart.errors import OutputError, TrainingError, UsageError, did_you_mean
from warmstart.model.attention import CrossAttention, SelfAttention
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.task import Split, Task
from warmstart.training.batches import TokenizedExamples
from warmstart.training.config import TrainConfig
from warmstart.training.progress import JsonLog, ProgressBar
from warmstart.training.trainer import Seq2SeqTrainer

__all__ = ["TrainResult", "check_output_folder", "train"]

logger = logging.getLogger(__name__)

LOG = "log.jsonl"
CONFIG = "train_config.json"
FINAL = "final"


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


def train(
    model: Seq2Seq,
    task: Task,
    config: TrainConfig,
    *,
    resume: bool = False,
    recipe: str | None = None,
) -> TrainResult:
    """Fine-tunes a model in place on a task's training split.

    While training the model is evaluated by real decoding, and the best one is kept: at the end
    `model` holds its weights, and they are saved to ``output_dir/final``.

    Args:
        model: changed in place.
        task: with a "train" split, and a "validation" split if the best model is to be kept.
        config: settings.
        resume: whether to go on from the newest checkpoint in `config.output_dir`.
        recipe: what the run was made from, as YAML; kept in the folder as ``recipe.yaml``.

    Raises:
        OutputError: if the output folder holds another run and `resume` is off.
        TrainingError: if there is nothing to resume, or the loss is no longer finite.
        UsageError: if the task has no training split or the best metric does not exist.
    """
    checkpoint = check_output_folder(config.output_dir, resume=resume)
    validation = _validation(task, config)
    split = task.split("train")
    examples = TokenizedExamples(
        model, split.examples, split.max_source_length, split.max_target_length
    )
    arguments = _arguments(config, validation)
    # Every process has to have looked at the folder before the first one fills it.
    arguments.distributed_state.wait_for_everyone()
    if checkpoint is None and arguments.process_index == 0:
        _prepare_folder(config, recipe)
    set_seed(config.seed)
    _set_dropout(model.model, config)
    log = JsonLog(config.output_dir / LOG)
    bar = ProgressBar()
    trainer = Seq2SeqTrainer(
        model,
        arguments,
        examples,
        validation,
        callbacks=[log, bar],
        new_learning_rate=config.new_learning_rate,
    )
    trainer.remove_callback(PrinterCallback)  # it writes to stdout, which is for results
    started = time.monotonic()
    model.generation = split.generation
    try:
        output = trainer.train(resume_from_checkpoint=checkpoint)
    finally:
        bar.stop()  # an interrupted run must give the terminal back
    model.model.eval()
    folder = config.output_dir / FINAL
    trainer.save_model(str(folder))
    metric = None if validation is None else _best_metric(validation, config)
    return TrainResult(
        steps=output.global_step,
        seconds=time.monotonic() - started,
        loss=output.training_loss,
        best_metric=metric,
        best_value=trainer.state.best_metric if metric is not None else None,
        folder=folder,
    )


def _validation(task: Task, config: TrainConfig) -> Split | None:
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
    return config.best_metric


def check_output_folder(folder: Path, *, resume: bool) -> str | None:
    """Refuses a folder that a run must not write to. Call it before what takes long.

    Args:
        folder: of the run.
        resume: whether a run of before is to go on there.

    Returns:
        The checkpoint to resume from; None for a new run.

    Raises:
        OutputError: if the folder holds another run or anything else, and `resume` is off.
        TrainingError: if there is nothing to resume.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"output_dir {folder} is a file; give a folder.")
    checkpoint = _newest_checkpoint(folder)
    if resume:
        if checkpoint is None:
            raise TrainingError(
                f"There is no checkpoint in {folder} to resume from; train without resume."
            )
        return checkpoint
    if folder.is_dir() and any(folder.iterdir()):
        if checkpoint is not None:
            what = "a run of before; resume it (--resume), or give a new folder"
        elif (folder / CONFIG).is_file():
            what = "a run that ended before its first checkpoint; remove it, or give a new folder"
        else:
            what = "something else; give a new folder"
        raise OutputError(f"The folder {folder} holds {what}.")
    return None


def _newest_checkpoint(folder: Path) -> str | None:
    """The newest that is complete: one that was being written when its run was ended is not."""
    complete = {
        int(number): path.parent
        for path in folder.glob("checkpoint-*/trainer_state.json")  # written last of all
        if (number := path.parent.name.removeprefix("checkpoint-")).isdecimal()
    }
    return str(complete[max(complete)]) if complete else None


def _prepare_folder(config: TrainConfig, recipe: str | None) -> None:
    folder = config.output_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"output_dir {folder} cannot be made: {error.strerror}.") from None
    settings = {**asdict(config), "output_dir": str(folder)}
    (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n")
    if recipe is not None:
        (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")


def _set_dropout(model: nn.Module, config: TrainConfig) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout) and config.dropout is not None:
            module.p = config.dropout
        if isinstance(module, SelfAttention | CrossAttention):
            module.config = replace(module.config, dropout=config.attention_dropout)


def _arguments(config: TrainConfig, validation: Split | None) -> TrainingArguments:
    every = config.evaluate_every or config.max_steps
    best = None if validation is None else _best_metric(validation, config)
    arguments = TrainingArguments(
        output_dir=str(config.output_dir),
        max_steps=config.max_steps,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation_steps,
        learning_rate=config.learning_rate,
        warmup_steps=min(config.warmup_steps, config.max_steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_gradient_norm,
        lr_scheduler_type="linear",
        optim="adamw_torch_fused",
        bf16=_uses_bfloat16(config),
        use_cpu=not torch.cuda.is_available(),
        seed=config.seed,
        eval_strategy="no" if validation is None else "steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=config.save_total_limit,
        load_best_model_at_end=validation is not None,
        metric_for_best_model=best,
        greater_is_better=best != "loss",
        logging_steps=config.log_every,
        logging_nan_inf_filter=False,  # it would log 0 for a loss that is lost
        remove_unused_columns=False,
        label_names=["labels"],
        ddp_find_unused_parameters=False,  # there are none
        disable_tqdm=True,  # we show a bar of our own, on stderr
        report_to="none",
    )
    # A process drives one GPU, and torchrun starts one for each: the Trainer would else cut a batch
    # among all of them, and ours is packed.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _uses_bfloat16(config: TrainConfig) -> bool:
    if config.precision != "auto":
        return config.precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
