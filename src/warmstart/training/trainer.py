"""A run around its optimizer steps: logging, evaluation, checkpoints, and the best model."""

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from accelerate.utils import gather

from warmstart.checkpoint.files import open_checkpoint
from warmstart.composition.saved_model import open_model
from warmstart.evaluation.evaluate import (
    decode_split,
    split_metrics,
    split_outputs,
    target_loss,
)
from warmstart.evaluation.score import score
from warmstart.hub.card import read_card, write_facts
from warmstart.metrics.all_metrics import get_metric
from warmstart.training.checkpoints import atomic_checkpoint, checkpoint_folder, damage, prune
from warmstart.training.effective_batch import write_batch
from warmstart.training.facts import score_facts
from warmstart.training.interruption import EvaluationAbandoned, StopRequest, interrupted
from warmstart.training.loop import Loop, Step, training_batches
from warmstart.training.meter import Meter, Work
from warmstart.training.optimizer import (
    create_optimizer,
    create_scheduler,
    load_scheduler,
    save_scheduler,
)
from warmstart.training.parameters import new_parameters, parameter_groups
from warmstart.training.passes import pass_sampler
from warmstart.training.prepare import PreparedRun
from warmstart.training.processes import Processes, all_gather, broadcast, fail_together
from warmstart.training.random_state import save_random_state
from warmstart.training.run_folder import ADAPTER, BASE
from warmstart.training.samples import SAMPLES, choose_samples, write_samples
from warmstart.training.sharding import load_optimizer, save_optimizer, save_optimizer_shard
from warmstart.training.state import Events, RunState, read_state, write_state
from warmstart.training.training_progress import TrainingProgress

__all__ = ["Trainer"]

logger = logging.getLogger(__name__)


class Trainer:
    """Trains the model of a prepared run, in place.

    Args:
        run: model, examples and settings.
        processes: index and number of processes.
        events: hooks that are called in this process.
        request: to stop.
        resume: the command that continues the run, for messages.

    Attributes:
        state: position and history of the run.
        progress: the display of this process.
    """

    def __init__(
        self,
        run: PreparedRun,
        processes: Processes,
        events: Sequence[Events],
        request: StopRequest,
        resume: str,
    ) -> None:
        self.run = run
        self.processes = processes
        self.request = request
        self.resume = resume
        self.state = RunState(max_steps=run.config.max_steps)
        self.meter = Meter()
        every = 0 if run.validation is None else run.evaluate_every
        self.progress = TrainingProgress(self.meter, every, processes)
        self.events = (self.meter, self.progress, *events)
        run.module.to(processes.device)
        new = new_parameters(run.module, run.model.provenance)
        self.optimizer = create_optimizer(parameter_groups(run.module, run.config, new), run.config)
        self.scheduler = create_scheduler(self.optimizer, run.config)
        self.sampler = pass_sampler(run.examples, run.config, processes.count)
        self.loop = Loop(run, processes, self.optimizer, self.scheduler, self.meter, request)
        self.unlogged = torch.zeros((), device=processes.device)  # losses since the last log
        self.logged_step = 0

    def train(self) -> None:
        """Makes the steps that are left; in the end the model is the best one.

        Raises:
            Interrupted: if the run was asked to stop.
            TrainingError: if the loss is lost.
        """
        if self.run.checkpoint is not None:
            self._resume(self.run.checkpoint)
        if not self.state.is_last:
            self._make_steps()
        self._load_best()
        for each in self.events:
            each.finished(self.state)

    def _make_steps(self) -> None:
        if self.processes.count > 1 and self.run.sharded is None:
            broadcast(self.run.module.parameters())
        first, checkpoint = self.state.step, self.run.checkpoint
        if checkpoint is not None:
            load_optimizer(self.optimizer, checkpoint)
            load_scheduler(self.scheduler, checkpoint)
        for each in self.events:
            each.started(self.state)
        batches = training_batches(self.run, self.sampler, self.processes, first)
        self.logged_step = first
        for step in self.loop.steps(batches, first, checkpoint):
            self._after(step)

    def _after(self, step: Step) -> None:
        """Logs, evaluates, saves and stops, where a step is due for it."""
        taken = self.sampler.taken[step.number - 1]
        self.state = replace(self.state, step=step.number, epoch=taken / len(self.run.examples))
        for loss in step.losses:
            self.unlogged += loss
        for each in self.events:
            each.stepped(self.state)
        last, config = self.state.is_last, self.run.config
        due = last or step.number % self.run.evaluate_every == 0
        stops = bool(step.signal) and not last
        if due or stops or step.number % config.log_every == 0:
            self._log_steps(step)
        if due and not stops:
            self._evaluate_or_stop()
        if due or stops:
            self._save()
        if stops:
            raise self._interrupted(step.signal)

    def _evaluate_or_stop(self) -> None:
        try:
            self._evaluate()
        except EvaluationAbandoned:
            self._save()
            if not self.state.is_last:
                raise self._interrupted(self.request.signal) from None
            self._evaluate()

    def _interrupted(self, signal: int) -> Exception:
        return interrupted(signal, self.state, self.run.config.output_dir, self.resume)

    def _log_steps(self, step: Step) -> None:
        steps = step.number - self.logged_step
        loss = gather(self.unlogged).mean().item() / steps
        self.unlogged.zero_()
        self.logged_step = step.number
        work = self.meter.read()
        of_all = sum(all_gather(work), Work())
        self._log(
            {
                "loss": loss,
                "grad_norm": step.gradient_norm.item(),
                "learning_rate": step.learning_rate,
                **replace(of_all, seconds=work.seconds).rates(),
            }
        )

    def _log(self, values: Mapping[str, float]) -> None:
        values = {**values, "epoch": self.state.epoch}
        event = {**values, "step": self.state.step}
        self.state = replace(self.state, history=(*self.state.history, event))
        for each in self.events:
            each.logged(self.state, values)

    def _evaluate(self) -> None:
        """Decodes the validation examples and scores them as a user would.

        Raises:
            TrainingError: if the loss is not finite, before such a model is saved.
        """
        if self.run.validation is None:
            return
        sharded = self.run.sharded
        with self.meter.paused(evaluation=True):
            self.request.abandons = self.processes.count == 1  # others would wait for this process
            try:
                whole = nullcontext() if sharded is None else sharded.gathered()
                with whole, fail_together():
                    values, outputs = self._decode_and_score()
            finally:
                self.request.abandons = False
        if not math.isfinite(values["loss"]):
            raise self.loop.monitor.diverged(f"The eval_loss is {values['loss']}", self.state.step)
        self._log({f"eval_{name}": value for name, value in values.items()})
        self._show(values, outputs)
        self._note_best(values)

    def _decode_and_score(self) -> tuple[dict[str, float], list[str]]:
        """Values of the validation split by name, the loss first; and the outputs."""
        split, model, adapters = self.run.validation, self.run.model, self.run.adapters
        assert split is not None
        # As it will be used, with adapters in its weights.
        evaluated = model if adapters is None else adapters.merged(model)
        with self.progress.counted("validation loss", len(split)) as advance:
            loss = target_loss(evaluated, split, advance=advance)
        with self.progress.counted("decoding", len(split)) as advance:
            outputs, at_limit = decode_split(evaluated, split, advance=advance)
        scores = score(split_outputs(split, outputs, at_limit=at_limit), split_metrics(split))
        model.card = replace(model.card, scores=score_facts(split, scores))
        return {"loss": loss, **{name: score.value for name, score in scores.items()}}, outputs

    def _show(self, values: Mapping[str, float], outputs: Sequence[str]) -> None:
        """Shows the results of an evaluation, and keeps some of its outputs."""
        if not self.processes.is_first:
            return
        samples, config = [], self.run.config
        if config.samples:
            assert self.run.validation is not None
            samples = choose_samples(self.run.validation, outputs, config.samples)
            write_samples(config.output_dir / SAMPLES, self.state.step, samples)
        self.progress.evaluated(self.state.step, values, samples)

    def _note_best(self, values: Mapping[str, float]) -> None:
        name = self.run.config.best_metric
        value, best = values[name], self.state.best_value
        higher = name != "loss" and get_metric(name).better == "higher"
        if best is None:
            best = -math.inf if higher else math.inf
        if value > best if higher else value < best:
            self.state = replace(self.state, best_value=value, best_step=self.state.step)

    def _save(self) -> None:
        """Writes a checkpoint and removes old ones."""
        run, state, first = self.run, self.state, self.processes.is_first
        card = run.model.card.at(state.step)
        run.model.card = card if state.is_evaluated else replace(card, scores=())
        folder = checkpoint_folder(run.config.output_dir, state.step)
        if run.sharded is not None:
            run.sharded.gather()
        with (
            self.meter.paused(),
            atomic_checkpoint(
                folder, self._save_model, first=first, together=fail_together
            ) as partial,
        ):
            if run.sharded is not None:
                save_optimizer_shard(self.optimizer, partial)
            elif first:
                save_optimizer(self.optimizer, partial)
            save_random_state(partial, self.processes)
            if first:
                save_scheduler(self.scheduler, partial)
                write_batch(run.config, self.processes.count, partial)
                write_state(state, partial, run.config.output_dir)
        if first:
            prune(run.config.output_dir, run.config.save_total_limit, state.best_step)

    def _save_model(self, folder: Path) -> None:
        model, adapters = self.run.model, self.run.adapters
        if adapters is None:
            model.save_pretrained(folder)
        else:
            adapters.save(folder / ADAPTER, f"../../{BASE}")
            write_facts(folder, model.card)

    def save_finished(self, folder: Path) -> None:
        """Writes the finished model, which no longer has any adapters."""
        if self.run.sharded is not None:
            self.run.sharded.gather()
        with fail_together():
            if self.processes.is_first:
                self.run.model.save_pretrained(folder)

    def _resume(self, checkpoint: Path) -> None:
        """Continues from a checkpoint, and makes the evaluation that it may lack."""
        logger.info("resuming from %s", checkpoint)
        self._read_parameters(checkpoint)
        self.state = read_state(checkpoint, self.run.config.max_steps)
        due = self.state.is_last or self.state.step % self.run.evaluate_every == 0
        if due and not self.state.is_evaluated:
            try:
                self._evaluate()
            except EvaluationAbandoned:
                raise self._interrupted(self.request.signal) from None

    def _load_best(self) -> None:
        if self.state.best_step is None:
            return
        best = checkpoint_folder(self.run.config.output_dir, self.state.best_step)
        problem = damage(best)
        if problem is None:
            self._read_parameters(best)
        else:
            logger.warning(
                "The best checkpoint, %s, is damaged (%s); the model of the last step is kept.",
                best,
                problem,
                extra={"on_all_ranks": True},
            )

    def _read_parameters(self, folder: Path) -> None:
        model, adapters, sharded = self.run.model, self.run.adapters, self.run.sharded
        if adapters is not None:
            adapters.read(folder / ADAPTER)
        else:
            saved = open_model(model.composition, open_checkpoint(folder)).load()
            model.model.load_state_dict(saved.state_dict())
            if sharded is not None:
                sharded.scatter()
        card = read_card(folder)
        if card is not None:
            of_last = replace(model.card, scores=card.scores)
            model.card = of_last.at(card.trainings[-1].steps)
