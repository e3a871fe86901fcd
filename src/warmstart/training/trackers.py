"""Trackers that a run reports its values to, through transformers' integrations.

An integration is a `TrainerCallback`, which reads its run from `TrainingArguments` and
`TrainerState`; `TrackerEvents` fills both in for it. Loads no torch by itself.
"""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from warmstart.errors import UsageError
from warmstart.training.state import Events, RunState
from warmstart.training.train_config import Tracker, TrainConfig

if TYPE_CHECKING:
    from transformers import TrainerCallback

__all__ = ["TrackerEvents", "check_trackers"]

TENSORBOARD: Final = "tensorboard"  # a folder in the run's


def check_trackers(trackers: Sequence[Tracker]) -> None:
    """Rejects a tracker that is not installed. Call it before any slow work.

    Raises:
        UsageError: with the command that installs it.
    """
    for name in trackers:
        if importlib.util.find_spec(name) is None:
            package = "'warmstart[tensorboard]'" if name == "tensorboard" else name
            raise UsageError(
                f"report_to names {name}, which is not installed; install it with "
                f"pip install {package}, or leave it out."
            )


class TrackerEvents(Events):
    """Passes the events of a run on to its trackers. For the first process only.

    Args:
        config: names the trackers; the run's folder exists.
        first_step: steps done before, by the run that is resumed.
    """

    def __init__(self, config: TrainConfig, first_step: int) -> None:
        from transformers import TrainerControl, TrainingArguments

        self.callbacks = [_callback(name, config, first_step) for name in config.report_to]
        self.control = TrainerControl()
        self.arguments = TrainingArguments(
            output_dir=str(config.output_dir),
            run_name=config.output_dir.name,
            project="warmstart",
            max_steps=config.max_steps,
            per_device_train_batch_size=config.batch_size,
            gradient_accumulation_steps=config.accumulation_steps,
            learning_rate=config.learning_rate,
            warmup_steps=config.warmup_steps,
            weight_decay=config.weight_decay,
            max_grad_norm=config.max_gradient_norm,
            logging_steps=config.log_every,
            seed=config.seed,
            report_to="none",
            accelerator_config={"use_configured_state": True},  # that of this run
        )

    def started(self, state: RunState) -> None:
        """Opens the trackers."""
        self._call("on_train_begin", state)

    def logged(self, state: RunState, values: Mapping[str, float]) -> None:
        """Reports values."""
        self._call("on_log", state, logs=dict(values))

    def finished(self, state: RunState) -> None:
        """Closes the trackers."""
        self._call("on_train_end", state)

    def _call(self, event: str, state: RunState, **values: Any) -> None:
        from transformers import TrainerState

        theirs = TrainerState(epoch=state.epoch, global_step=state.step, max_steps=state.max_steps)
        for callback in self.callbacks:
            getattr(callback, event)(self.arguments, theirs, self.control, **values)


def _callback(name: Tracker, config: TrainConfig, first_step: int) -> "TrainerCallback":
    from transformers.integrations import integration_utils as integrations

    if name == "trackio":
        trackio: TrainerCallback = integrations.TrackioCallback()
        return trackio
    from torch.utils.tensorboard import SummaryWriter

    folder = os.environ.get("TENSORBOARD_LOGGING_DIR") or config.output_dir / TENSORBOARD
    # Hides values logged after the checkpoint that a run resumes from.
    writer = SummaryWriter(folder, purge_step=first_step + 1 if first_step else None)
    tensorboard: TrainerCallback = integrations.TensorBoardCallback(writer)
    return tensorboard
