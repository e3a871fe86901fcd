"""The optimizer steps of a run.

The loss of a step is the weighted sum over target tokens divided by the sum of their weights in the
whole effective batch, over accumulation steps and processes, so the update does not depend on how
a batch is split.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import torch
from accelerate.utils import gather, send_to_device
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset

from warmstart.training.batches import (
    Batch,
    TokenizedExample,
    TokenizedExamples,
    collate,
    weight_of,
)
from warmstart.training.interruption import StopRequest
from warmstart.training.loss import batch_loss
from warmstart.training.loss_monitor import LossMonitor
from warmstart.training.memory import Passes
from warmstart.training.meter import Meter
from warmstart.training.optimizer import clip_gradients
from warmstart.training.passes import PassSampler
from warmstart.training.prepare import PreparedRun, uses_bfloat16
from warmstart.training.processes import Processes
from warmstart.training.random_state import load_random_state

__all__ = ["Loop", "Step", "training_batches"]

_LEAST_WEIGHT: Final = 1e-30  # of a step, so that one without any has a loss of 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimizer step.

    Attributes:
        number: counted from 1.
        losses: of this process's passes.
        gradient_norm: of all processes together, before clipping.
        learning_rate: of the first parameter group.
        signal: the signal that has asked any process to stop; 0: none.
    """

    number: int
    losses: tuple[Tensor, ...]
    gradient_norm: Tensor
    learning_rate: float
    signal: int


class _IndexedExamples(Dataset[tuple[int, TokenizedExample]]):
    """Examples with their indices, by which an error can name them."""

    def __init__(self, examples: TokenizedExamples) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[int, TokenizedExample]:
        return index, self.examples[index]


def _collate_indexed(
    indexed: Sequence[tuple[int, TokenizedExample]],
) -> tuple[list[int], Batch]:
    """The indices of a batch, in no particular order, and the batch."""
    indices, examples = zip(*indexed, strict=True)
    return list(indices), collate(examples)


def training_batches(
    run: PreparedRun, sampler: PassSampler, processes: Processes, step: int
) -> DataLoader[Any]:
    """This process's passes from a step on, one pass of every `processes.count`.

    Args:
        run: examples and settings.
        sampler: of the passes of all processes.
        processes: index and number of processes.
        step: steps done before.
    """
    first = step * run.config.accumulation_steps * processes.count + processes.index
    return DataLoader(
        _IndexedExamples(run.examples),
        batch_sampler=islice(sampler, first, None, processes.count),
        collate_fn=_collate_indexed,
        num_workers=run.config.data_workers,
        pin_memory=processes.device.type == "cuda",
    )


class Loop:
    """Makes optimizer steps, one at a time.

    Args:
        run: model, examples and settings.
        processes: index and number of processes.
        optimizer: over the parameters of the model.
        scheduler: of its learning rates.
        meter: counts examples and tokens.
        request: to stop.
    """

    def __init__(
        self,
        run: PreparedRun,
        processes: Processes,
        optimizer: torch.optim.Optimizer,
        scheduler: LRScheduler,
        meter: Meter,
        request: StopRequest,
    ) -> None:
        self.run = run
        self.processes = processes
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.meter = meter
        self.request = request
        self.bfloat16 = uses_bfloat16(run.config)
        self.monitor = LossMonitor(
            run.config, vocabulary=run.module.config.decoder.embedding.vocabulary
        )
        self.passes = Passes(
            run.module,
            self._pass,
            self._read,
            run.config,
            processes,
            sharded=run.sharded is not None,
        )

    def steps(
        self, batches: DataLoader[Any], first: int, checkpoint: Path | None
    ) -> Iterator[Step]:
        """The steps that are left.

        Args:
            batches: from the first of these steps on.
            first: steps done before.
            checkpoint: to take the state of random generators from; None: as they are.

        Raises:
            TrainingError: if the loss or the gradient is lost, before the weights are.
        """
        # The iterator draws a seed for its workers.
        iterator = iter(batches)
        if checkpoint is not None:
            load_random_state(checkpoint, self.processes)
        for done in range(first, self.run.config.max_steps):
            yield self._step(done, list(islice(iterator, self.run.config.accumulation_steps)))

    def _step(self, done: int, batches: Sequence[tuple[list[int], Batch]]) -> Step:
        module = self.run.module
        self.run.trained.apply_step(done)
        batches = send_to_device(batches, self.processes.device)
        label_count = self._label_count([batch for _, batch in batches])
        self.passes.begin(done)
        module.train()
        losses = []
        for indices, batch in batches:
            losses.append(self.passes.add(indices, batch, label_count))
            self.monitor.add(indices, losses[-1])
            self.meter.add(batch)
        self.passes.finish()
        norm = clip_gradients(module.parameters(), self.run.config.max_gradient_norm)
        signal = self.monitor.check(done, norm, self.request.signal)
        self.optimizer.step()
        rate = float(self.scheduler.get_last_lr()[0])
        self.scheduler.step()
        module.zero_grad()
        self.meter.note(self.monitor.loss, self.monitor.gradient_norm, rate)
        return Step(
            number=done + 1,
            losses=tuple(losses),
            gradient_norm=norm,
            learning_rate=rate,
            signal=signal,
        )

    def _label_count(self, batches: Sequence[Batch]) -> Tensor:
        """The sum of the weights of all labels of a step, over all processes. Shape: []"""
        own = torch.tensor(sum(map(weight_of, batches)), device=self.processes.device)
        total: Tensor = gather(own).sum()
        return total.clamp_min(_LEAST_WEIGHT)

    def _pass(self, batch: Batch, label_count: Tensor) -> Tensor:
        """Forward and backward over one batch. Returns its loss. Shape: []"""
        batch = send_to_device(batch, self.processes.device)
        with torch.autocast(self.processes.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss = batch_loss(
                self.run.module, batch, label_count, self.run.config, self.run.teacher
            )
        # Gradients are averaged over processes, hence the factor.
        loss = loss.float() * float(self.processes.count)
        loss.backward()
        return loss.detach()

    def _read(self, indices: Sequence[int]) -> Batch:
        return _collate_indexed([(index, self.run.examples[index]) for index in indices])[1]
