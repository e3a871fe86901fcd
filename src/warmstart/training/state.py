"""The position and history of a run, which each of its checkpoints holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from warmstart.training.checkpoints import checkpoint_folder

__all__ = ["Events", "RunState", "read_state", "write_state"]

_FILE: Final = "trainer_state.json"  # with the names that transformers' Trainer gives its fields


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What is known of a run after a step.

    Attributes:
        step: optimizer steps done.
        max_steps: optimizer steps of the whole run.
        epoch: passes over the training examples so far.
        history: logged values, oldest first, each with its "step".
        best_value: best value so far of the metric that chooses the model; None before the first.
        best_step: the step that it was measured at.
    """

    step: int = 0
    max_steps: int
    epoch: float = 0.0
    history: tuple[Mapping[str, Any], ...] = ()
    best_value: float | None = None
    best_step: int | None = None

    @property
    def is_last(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.max_steps

    @property
    def is_evaluated(self) -> bool:
        """Whether the model has been evaluated at this step."""
        return any("eval_loss" in event and event["step"] == self.step for event in self.history)


class Events:
    """Hooks of a run, which do nothing here. A subclass overrides those it needs."""

    def started(self, state: RunState) -> None:
        """Before the first step of this process."""

    def stepped(self, state: RunState) -> None:
        """After an optimizer step, before anything is evaluated or saved."""

    def logged(self, state: RunState, values: Mapping[str, float]) -> None:
        """When values are logged: of the steps since the last time, or of an evaluation."""

    def finished(self, state: RunState) -> None:
        """After the last step."""


def read_state(checkpoint: Path, max_steps: int) -> RunState:
    """The state at a checkpoint, in a run that now has `max_steps`."""
    saved = json.loads((checkpoint / _FILE).read_text(encoding="utf-8"))
    return RunState(
        step=saved["global_step"],
        max_steps=max_steps,
        epoch=saved["epoch"],
        history=tuple(saved["log_history"]),
        best_value=saved["best_metric"],
        best_step=saved["best_global_step"],
    )


def write_state(state: RunState, folder: Path, run: Path) -> None:
    """Writes the state to a checkpoint.

    Args:
        state: at the checkpoint.
        folder: where it is being written.
        run: the run's folder, to name the best checkpoint.
    """
    best = None if state.best_step is None else str(checkpoint_folder(run, state.best_step))
    saved = {
        "best_global_step": state.best_step,
        "best_metric": state.best_value,
        "best_model_checkpoint": best,
        "epoch": state.epoch,
        "global_step": state.step,
        "log_history": list(state.history),
        "max_steps": state.max_steps,
    }
    (folder / _FILE).write_text(json.dumps(saved, indent=2) + "\n", encoding="utf-8")
