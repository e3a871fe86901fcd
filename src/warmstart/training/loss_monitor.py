"""Ends a run whose loss diverges, before its weights do."""

import math
from collections.abc import Sequence
from typing import Final

import torch
from accelerate.utils import gather
from torch import Tensor

from warmstart.errors import TrainingError
from warmstart.training.checkpoints import checkpoints
from warmstart.training.processes import all_gather
from warmstart.training.train_config import TrainConfig

__all__ = ["LossMonitor"]

_NAMED: Final = 64  # examples that a message names


class LossMonitor:
    """Checks each step's loss and gradient before the optimizer uses them.

    Attributes:
        loss: of the last step, in nats per target token.
        gradient_norm: of the last step, before clipping.

    Args:
        config: has the greatest loss allowed.
        vocabulary: size of the vocabulary.
    """

    def __init__(self, config: TrainConfig, *, vocabulary: int) -> None:
        self.config = config
        self.limit = config.max_loss
        self.chance = math.log(vocabulary)  # the loss of a uniform distribution
        self.passes: list[tuple[Sequence[int], Tensor]] = []
        self.loss = self.gradient_norm = math.nan

    def add(self, indices: Sequence[int], loss: Tensor) -> None:
        """Records one pass: the indices of its examples, and its share of the step's loss."""
        self.passes.append((indices, loss))

    def check(self, step: int, gradient_norm: Tensor | float, signal: int) -> int:
        """Ends the run if the step's loss or gradient is not finite, or the loss is too great.

        All processes call it and come to the same decision.

        Args:
            step: steps done so far.
            gradient_norm: of all processes together.
            signal: the one that has asked this process to stop; 0: none.

        Returns:
            The signal that has asked any process to stop; 0: none.

        Raises:
            TrainingError: with the indices of the examples.
        """
        passes, self.passes = self.passes, []
        losses = torch.stack([loss.detach().float() for _, loss in passes])
        norm = torch.as_tensor(gradient_norm, dtype=torch.float32, device=losses.device)
        own = torch.stack([losses.sum(), norm, torch.full_like(norm, signal)])
        loss, norm_, signal_ = gather(own[None]).double().cpu().unbind(1)
        mean, greatest = float(loss.mean()), float(norm_.max())
        if self.limit is None and math.isfinite(mean):
            # Or twice the first loss, for heads whose logits are large before training.
            self.limit = max(3 * self.chance, 2 * mean)
        in_bounds = math.isfinite(mean) and mean <= (self.limit or 0.0)
        if in_bounds and math.isfinite(greatest):
            self.loss, self.gradient_norm = mean, greatest
            return int(signal_.max())
        own_passes = [
            (value, [*indices]) for value, (indices, _) in zip(losses.tolist(), passes, strict=True)
        ]
        # Of all processes, so that all blame the same.
        every = [each for of_one in all_gather(own_passes) for each in of_one]
        if in_bounds:
            raise self.diverged(f"The gradient norm is {greatest}", step, _indices(every))
        finite = [value for value, _ in every if math.isfinite(value)]
        if len(finite) == len(every):
            blamed = [each for each in every if each[0] == max(finite)]
        else:
            blamed = [each for each in every if not math.isfinite(each[0])]
        raise self.diverged(f"The loss is {mean:.4g}", step, _indices(blamed))

    def diverged(self, problem: str, step: int, indices: Sequence[int] = ()) -> TrainingError:
        """The error that ends a run.

        Args:
            problem: begins the sentence.
            step: steps done so far.
            indices: of the examples to blame, in the training split.
        """
        saved = checkpoints(self.config.output_dir)
        resume = f"Resume from {saved[max(saved)]}" if saved else "Start again"
        blamed = ""
        if indices:
            named = ", ".join(map(str, sorted(indices)[:_NAMED]))
            more = f" and {len(indices) - _NAMED} more" if len(indices) > _NAMED else ""
            blamed = f", in a pass over the training examples {named}{more} (counted from 0)"
        error = TrainingError(
            f"{problem} at step {step + 1}{blamed}. {resume}, with a lower learning rate (it is "
            f"{self.config.learning_rate}), or more warm-up steps; if it happens again, look at "
            "these examples."
        )
        error.on_all_ranks = True
        return error


def _indices(passes: list[tuple[float, list[int]]]) -> list[int]:
    return [index for _, indices in passes for index in indices]
