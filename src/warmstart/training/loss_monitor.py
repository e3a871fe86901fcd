"""Ends a run whose loss is lost, before its weights are."""

import math
from collections.abc import Sequence
from typing import Final

import torch
from accelerate import Accelerator
from torch import Tensor

from warmstart.errors import TrainingError
from warmstart.training.checkpoints import checkpoints
from warmstart.training.config import TrainConfig
from warmstart.training.processes import gathered

__all__ = ["Watch"]

_NAMED: Final = 64  # examples that a message names


class Watch:
    """Looks at each step's loss and gradient before the optimizer does.

    Attributes:
        loss: of the last step, in nats per target token.
        gradient_norm: of the last step, before it is scaled down.

    Args:
        config: has the greatest loss allowed.
        vocabulary: words that the model chooses from.
    """

    def __init__(self, config: TrainConfig, *, vocabulary: int) -> None:
        self.config = config
        self.limit = config.max_loss
        self.guessing = math.log(vocabulary)  # what guessing evenly costs
        self.passes: list[tuple[Sequence[int], Tensor]] = []
        self.loss = self.gradient_norm = math.nan

    def add(self, numbers: Sequence[int], loss: Tensor) -> None:
        """Notes one pass: the numbers of its examples, and its share of the step's loss."""
        self.passes.append((numbers, loss))

    def check(
        self, step: int, gradient_norm: Tensor | float, signal: int, accelerator: Accelerator
    ) -> int:
        """Ends the run if the step's loss or gradient is not finite, or the loss is too great.

        All processes call it and come to the same end.

        Args:
            step: steps made so far.
            gradient_norm: of all processes together.
            signal: the one that has asked this process to stop; 0: none.
            accelerator: knows the other processes.

        Returns:
            The signal that has asked any process to stop; 0: none.

        Raises:
            TrainingError: with the numbers of the examples.
        """
        passes, self.passes = self.passes, []
        losses = torch.stack([loss.detach().float() for _, loss in passes])
        norm = torch.as_tensor(gradient_norm, dtype=torch.float32, device=losses.device)
        told = torch.stack([losses.sum(), norm, torch.full_like(norm, signal)])[None]
        if accelerator.num_processes > 1:
            told = accelerator.gather(told)
        loss, norm_, signal_ = told.double().cpu().unbind(1)
        mean, greatest = float(loss.mean()), float(norm_.max())
        if self.limit is None and math.isfinite(mean):
            # Twice the first loss, too, for heads whose logits are great before training.
            self.limit = max(3 * self.guessing, 2 * mean)
        in_bounds = math.isfinite(mean) and mean <= (self.limit or 0.0)
        if in_bounds and math.isfinite(greatest):
            self.loss, self.gradient_norm = mean, greatest
            return int(signal_.max())
        own = [
            (value, [*numbers]) for value, (numbers, _) in zip(losses.tolist(), passes, strict=True)
        ]
        # By all processes, so that all blame the same.
        made = [each for one_s in gathered(own) for each in one_s]
        if in_bounds:
            raise self.lost(f"The gradient norm is {greatest}", step, _numbers(made))
        finite = [value for value, _ in made if math.isfinite(value)]
        if len(finite) == len(made):
            blamed = [each for each in made if each[0] == max(finite)]
        else:
            blamed = [each for each in made if not math.isfinite(each[0])]
        raise self.lost(f"The loss is {mean:.4g}", step, _numbers(blamed))

    def lost(self, what: str, step: int, numbers: Sequence[int] = ()) -> TrainingError:
        """The error that ends a run.

        Args:
            what: is wrong.
            step: steps made so far.
            numbers: of the examples that are to blame, in the training split.
        """
        found = checkpoints(self.config.output_dir)
        kept = f"Go on from {found[max(found)]}" if found else "Start again"
        blamed = ""
        if numbers:
            named = ", ".join(map(str, sorted(numbers)[:_NAMED]))
            more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
            blamed = f", in a pass over the training examples {named}{more} (counted from 0)"
        error = TrainingError(
            f"{what} at step {step + 1}{blamed}. {kept}, with a lower learning rate (it is "
            f"{self.config.learning_rate}), or more warm-up steps; if it happens again, look at "
            "these examples."
        )
        error.everywhere = True
        return error


def _numbers(passes: list[tuple[float, list[int]]]) -> list[int]:
    return [number for _, numbers in passes for number in numbers]
