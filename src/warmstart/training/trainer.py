"""The Hugging Face Trainer with our loss, our batches, our evaluation and our folders."""

import logging
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.optimization import Adafactor
from transformers.trainer import SCHEDULER_NAME

from warmstart.checkpoint.files import open_checkpoint
from warmstart.composition.saved import open_model
from warmstart.evaluation.evaluate import (
    decode_split,
    split_metrics,
    split_outputs,
    target_loss,
)
from warmstart.evaluation.score import score
from warmstart.hub.card import read_card, write_facts
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.soft_loss import soft_loss
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.task import Split
from warmstart.training.batches import (
    Batch,
    TokenizedExample,
    TokenizedExamples,
    collate,
    sequences,
    weight_of,
)
from warmstart.training.checkpoints import (
    checkpoint_folder,
    damage,
    prune,
    written_whole,
)
from warmstart.training.config import TrainConfig
from warmstart.training.distillation import Teacher
from warmstart.training.effective_batch import write_batch
from warmstart.training.facts import score_facts
from warmstart.training.interruption import EvaluationAbandoned, StopInOrder, StopRequest
from warmstart.training.lora import Adapters
from warmstart.training.loss_monitor import Watch
from warmstart.training.memory import Passes
from warmstart.training.meter import Meter, Work
from warmstart.training.parameters import TrainedParameters, new_parameters, parameter_groups
from warmstart.training.passes import pass_sampler
from warmstart.training.processes import broadcast, together
from warmstart.training.progress import TrainingProgress
from warmstart.training.samples import SAMPLES, choose_samples, write_samples
from warmstart.training.sharding import ShardedCopy, load_optimizer, save_optimizer

__all__ = ["ADAPTER", "BASE", "Seq2SeqTrainer"]

logger = logging.getLogger(__name__)

ADAPTER: Final = "adapter"  # folder of a run or checkpoint that trains adapters
BASE: Final = "base"  # folder of the model that they belong to
_LEAST_WEIGHT: Final = 1e-30  # of a step, so that one without any has a loss of 0


class LossOfBatch(nn.Module):
    """What the Trainer sees as its model: a batch in, the loss out.

    The Trainer wraps this one's ``forward`` in autocast and sets options of configs that it takes
    for its own; the model inside stays as it is.
    """

    def __init__(
        self, model: EncoderDecoder, settings: TrainConfig, teacher: Teacher | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.teacher = teacher

    def forward(self, batch: Batch, label_count: Tensor | int | None) -> Tensor:
        """The loss of one pass. Shape: []"""
        source, target = sequences(batch)
        labels, weights = batch["labels"], batch.get("weights")
        smoothing = self.settings.label_smoothing
        if self.teacher is None and not self.settings.r_drop:
            loss: Tensor = self.model(
                source, target, labels, label_count, weights=weights, label_smoothing=smoothing
            )
            return loss
        assert label_count is not None
        count = 2 if self.settings.r_drop else 1
        passes = [self.model.states(source, target) for _ in range(count)]
        summed = soft_loss(
            self.model.head,
            passes,
            labels,
            weights,
            label_smoothing=smoothing,
            teacher=None if self.teacher is None else self.teacher.states(source, target),
            r_drop=self.settings.r_drop,
        )
        return summed / label_count


class NumberedExamples(Dataset[tuple[int, TokenizedExample]]):
    """Examples with their numbers, by which an error can name them."""

    def __init__(self, examples: TokenizedExamples) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> tuple[int, TokenizedExample]:
        return number, self.examples[number]


def _collate_numbered(numbered: Sequence[tuple[int, TokenizedExample]]) -> dict[str, Any]:
    """A batch, with the numbers of its examples in no order that matters."""
    numbers, examples = zip(*numbered, strict=True)
    return {**collate(examples), "numbers": list(numbers)}


class FreezeByStep(TrainerCallback):
    """Freezes what is not trained at a step."""

    def __init__(self, trained: TrainedParameters) -> None:
        self.trained = trained

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, *others: Any, **kwargs: Any
    ) -> None:
        """Called by the Trainer."""
        self.trained.set_for(state.global_step)


class Seq2SeqTrainer(Trainer):
    """Trains a `Seq2Seq` in place.

    The loss is the weighted sum over target tokens divided by the sum of their weights in the whole
    effective batch, over accumulation steps and processes, so the update does not depend on how a
    batch is cut.
    """

    def __init__(
        self,
        seq2seq: Seq2Seq,
        arguments: TrainingArguments,
        examples: TokenizedExamples,
        validation: Split | None,
        callbacks: list[TrainerCallback],
        *,
        config: TrainConfig,
        trained: TrainedParameters,
        teacher: Teacher | None,
        adapters: Adapters | None,
        request: StopRequest,
        resume: str,
        meter: Meter,
        progress: TrainingProgress,
        sharded: ShardedCopy | None,
    ) -> None:
        self.seq2seq = seq2seq
        self.sharded = sharded
        self.trained = seq2seq.model if sharded is None else sharded.model
        self.config = config
        self.adapters = adapters
        self.examples = examples
        self.validation = validation
        self.request = request
        self.meter = meter
        self.progress = progress
        self.stop = StopInOrder(resume)
        self.watch = Watch(config, vocabulary=seq2seq.model.config.decoder.embedding.vocabulary)
        loss_of_batch = LossOfBatch(self.trained, config, teacher)
        super().__init__(
            model=loss_of_batch,
            args=arguments,
            train_dataset=NumberedExamples(examples),
            # Never iterated: `evaluate` below decodes the split. The Trainer asks for one.
            eval_dataset=None if validation is None else list(validation.examples),
            data_collator=_collate_numbered,
            callbacks=[
                meter,
                progress,
                *callbacks,
                self.stop,
                *([FreezeByStep(trained)] if trained.staged else []),
            ],
        )
        self.sampler = pass_sampler(examples, config, arguments.world_size)
        # Tells the Trainer to count labels and not to divide the loss by the accumulation steps.
        self.model_accepts_loss_kwargs = True
        # Keeps accelerate from wrapping the model: `Passes` averages the gradients.
        self.is_distributed_loading_by_transformers = arguments.world_size > 1
        self._mixed_mesh_grads = sharded is not None  # gives the norm of all parts together
        self.passes = Passes(
            loss_of_batch,
            self._make_pass,
            self._read,
            config,
            self.accelerator,
            sharded=sharded is not None,
        )

    def training_step(
        self, model: nn.Module, inputs: Any, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One pass, forward and backward."""
        numbers = inputs.pop("numbers")
        if not self.passes.made:
            self.passes.begin(self.state.global_step)
        loss = self.passes.add(numbers, inputs, num_items_in_batch)
        self.watch.add(numbers, loss)
        self.meter.add(inputs)
        if self.accelerator.sync_gradients:  # the step's last pass
            self.passes.finish()
        return loss

    def _make_pass(self, inputs: dict[str, Any], label_count: Tensor | int | None) -> Tensor:
        loss: Tensor = super().training_step(self.model_wrapped, inputs, label_count)
        return loss

    def _read(self, numbers: Sequence[int]) -> dict[str, Any]:
        inputs = _collate_numbered([(number, self.examples[number]) for number in numbers])
        del inputs["numbers"]
        return inputs

    def _sync_replicated_trainable_parameters(self, model: nn.Module) -> None:
        """Called by the Trainer where there are several processes."""
        if self.sharded is None:
            broadcast(model.parameters())

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """Called after the last pass of a step, right before the weights are changed."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        self.stop.signal = self.watch.check(
            self.state.global_step, norm, self.request.signal, self.accelerator
        )
        self.meter.losses.append(self.watch.loss)
        self.meter.gradient_norm = self.watch.gradient_norm
        self.meter.learning_rate = self._get_learning_rate()
        return norm

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The loss of one pass. Processes' gradients are averaged, hence the factor."""
        loss: Tensor = model(inputs, num_items_in_batch)
        return loss * float(self.accelerator.num_processes)

    def _get_num_items_in_batch(
        self, batch_samples: list[Any], device: torch.device
    ) -> Tensor | int | None:
        """What the summed loss of a step is divided by: its labels, or the sum of their weights."""
        total = torch.tensor(sum(map(weight_of, batch_samples)), device=device)
        if self.args.world_size > 1:
            total = self.accelerator.gather(total).sum()
        return total.clamp_min(_LEAST_WEIGHT)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Over the groups of `parameter_groups`."""
        if self.optimizer is None:
            groups = [
                {
                    "params": list(group.parameters),
                    "lr": group.learning_rate,
                    "weight_decay": group.weight_decay,
                }
                for group in parameter_groups(
                    self.trained,
                    self.config,
                    new_parameters(self.trained, self.seq2seq.provenance),
                )
            ]
            if self.config.optimizer == "adamw":
                self.optimizer = torch.optim.AdamW(groups, fused=True)
            else:
                # The rate is the schedule's, not one of Adafactor's own.
                self.optimizer = Adafactor(groups, scale_parameter=False, relative_step=False)
        return self.optimizer

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Passes values on to the callbacks.

        Raises:
            TrainingError: if the loss of an evaluation is not finite, before such a model is saved.
        """
        if not math.isfinite(logs.get("eval_loss", 0.0)):
            raise self.watch.lost(f"The eval_loss is {logs['eval_loss']}", self.state.global_step)
        if "loss" in logs:
            logs = {**logs, **self._work().rates()}
        self._count_epochs()
        super().log(logs, start_time)

    def _work(self) -> Work:
        """What all processes have done since this was last called."""
        work = self.meter.read()
        if self.accelerator.num_processes == 1:
            return work
        counts = [work.examples, work.source_tokens, work.target_tokens]
        own = torch.tensor(counts, device=self.accelerator.device)
        examples, source_tokens, target_tokens = self.accelerator.reduce(own, "sum").tolist()
        return Work(
            examples=examples,
            source_tokens=source_tokens,
            target_tokens=target_tokens,
            seconds=work.seconds,
        )

    def _count_epochs(self) -> None:
        """Puts right what the Trainer, which sees one epoch, has noted."""
        taken = self.sampler.taken[: self.state.global_step]
        if taken:
            self.state.epoch = taken[-1] / len(self.examples)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """One pass after the other, for the whole run: the Trainer sees a single epoch."""
        loader: DataLoader[Any] = DataLoader(
            NumberedExamples(self.examples),
            batch_sampler=self.sampler,
            collate_fn=_collate_numbered,
            num_workers=self.config.data_workers,
            pin_memory=self.args.device.type == "cuda",
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Decodes the validation examples and scores them as a user would."""
        with self.meter.paused(evaluation=True):
            self.request.abandons = self.args.world_size == 1  # others would wait for this process
            try:
                whole = nullcontext() if self.sharded is None else self.sharded.gathered()
                with whole, together():
                    values, outputs = self._decode_and_score()
            finally:
                self.request.abandons = False
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in values.items()}
        self.log(metrics)
        self._show(values, outputs)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _decode_and_score(self) -> tuple[dict[str, float], list[str]]:
        """Values of the validation split by name, the loss first; and the outputs."""
        split, model = self.validation, self._evaluated()
        assert split is not None
        with self.progress.counted("validation loss", len(split)) as advance:
            loss = target_loss(model, split, advance=advance)
        with self.progress.counted("decoding", len(split)) as advance:
            outputs, at_limit = decode_split(model, split, advance=advance)
        scores = score(split_outputs(split, outputs, at_limit=at_limit), split_metrics(split))
        self.seq2seq.card = replace(self.seq2seq.card, scores=score_facts(split, scores))
        return {"loss": loss, **{name: score.value for name, score in scores.items()}}, outputs

    def _show(self, values: dict[str, float], outputs: list[str]) -> None:
        """Tells of an evaluation, and keeps some of its outputs."""
        step, count = self.state.global_step, self.config.samples
        if not self.state.is_world_process_zero:
            return
        samples = []
        if count:
            assert self.validation is not None
            samples = choose_samples(self.validation, outputs, count)
            write_samples(self.config.output_dir / SAMPLES, step, samples)
        self.progress.evaluated(step, values, samples)

    def _maybe_log_save_evaluate(self, *arguments: Any, **keywords: Any) -> None:
        try:
            super()._maybe_log_save_evaluate(*arguments, **keywords)
        except EvaluationAbandoned:
            self.stop.signal = self.request.signal
            self._save_checkpoint(self.model_wrapped)
            self.stop.on_save(self.args, self.state, self.control)

    def _evaluate_if_due(self) -> None:
        """Catches up on the evaluation that a run was stopped before, or in the middle of."""
        step, done = self.state.global_step, self._was_evaluated()
        last = step == self.state.max_steps
        if self.validation is None or done or (step % int(self.args.eval_steps or 1) and not last):
            return
        metrics = self._evaluate(None, None)
        self._determine_best_metric(metrics, None)

    def _evaluated(self) -> Seq2Seq:
        """The model as it will be used: with adapters in its weights, where it has any."""
        if self.adapters is None:
            return self.seq2seq
        return self.adapters.merged(self.seq2seq)

    def _was_evaluated(self) -> bool:
        """Whether the model has been evaluated as it is now."""
        step = self.state.global_step
        return any("eval_loss" in e and e["step"] == step for e in self.state.log_history)

    def _save_model(self, folder: Path) -> None:
        if self.adapters is None:
            self.seq2seq.save_pretrained(folder)
        else:
            self.adapters.save(folder / ADAPTER, f"../../{BASE}")
            write_facts(folder, self.seq2seq.card)

    def save_finished(self, folder: Path) -> None:
        """Writes the finished model, which no longer has any adapters."""
        if self.sharded is not None:
            self.sharded.gather()
        with together():
            if self.args.should_save:
                self.seq2seq.save_pretrained(folder)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.sharded is None:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        assert self.optimizer is not None and self.lr_scheduler is not None
        save_optimizer(self.optimizer, Path(output_dir))
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir, SCHEDULER_NAME))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            assert self.optimizer is not None and self.lr_scheduler is not None
            load_optimizer(self.optimizer, Path(checkpoint))
            state = torch.load(Path(checkpoint, SCHEDULER_NAME), weights_only=True)
            self.lr_scheduler.load_state_dict(state)

    def _save_checkpoint(self, model: nn.Module | None, trial: Any = None) -> None:
        """Writes all that resuming needs, whole or not at all, and removes what is too old."""
        run, first = self.config.output_dir, self.args.should_save
        card = self.seq2seq.card.at(self.state.global_step)
        self.seq2seq.card = card if self._was_evaluated() else replace(card, scores=())
        folder = checkpoint_folder(run, self.state.global_step)
        if self.sharded is not None:
            self.sharded.gather()
        with (
            self.meter.paused(),
            written_whole(folder, self._save_model, first=first, together=together) as partial,
        ):
            self._save_optimizer_and_scheduler(str(partial))
            self._save_rng_state(str(partial))
            self._name_best()
            if first:
                write_batch(self.config, self.args.world_size, partial)
                self._count_epochs()
                self.state.save_to_json(str(partial / "trainer_state.json"))
        if first:
            prune(run, self.config.save_total_limit, self.state.best_global_step)

    def _name_best(self) -> None:
        if self.state.best_global_step is not None:
            best = checkpoint_folder(self.config.output_dir, self.state.best_global_step)
            self.state.best_model_checkpoint = str(best)

    def _init_training_state(self, *arguments: Any) -> tuple[int, int]:
        position = super()._init_training_state(*arguments)
        if self.state.global_step:  # resumed
            self._evaluate_if_due()
            self._name_best()  # the run's folder may have been moved
        return position

    def finish(self, checkpoint: str) -> None:
        """Does what is left of a run that had made all its steps when it was ended.

        Args:
            checkpoint: the last one.
        """
        self._read_parameters(checkpoint)
        self.state = TrainerState.load_from_json(f"{checkpoint}/trainer_state.json")
        self._evaluate_if_due()
        self._name_best()
        if self.state.best_model_checkpoint is not None:
            self._load_best_model()

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        self._read_parameters(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        assert self.state.best_model_checkpoint is not None
        problem = damage(Path(self.state.best_model_checkpoint))
        if problem is None:
            self._read_parameters(self.state.best_model_checkpoint)
        else:
            logger.warning(
                "The best checkpoint, %s, is damaged (%s); the model of the last step is kept.",
                self.state.best_model_checkpoint,
                problem,
                extra={"everywhere": True},
            )

    def _read_parameters(self, folder: str) -> None:
        if self.adapters is not None:
            self.adapters.read(Path(folder) / ADAPTER)
        else:
            saved = open_model(self.seq2seq.composition, open_checkpoint(folder)).load()
            self.seq2seq.model.load_state_dict(saved.state_dict())
            if self.sharded is not None:
                self.sharded.scatter()
        card = read_card(Path(folder))
        if card is not None:
            of_last = replace(self.seq2seq.card, scores=card.scores)
            self.seq2seq.card = of_last.at(card.trainings[-1].steps)
