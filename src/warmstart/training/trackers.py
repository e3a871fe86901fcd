"""Trackers that a run reports its values to: TensorBoard and trackio. Loads no torch by itself."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warmstart.errors import UsageError
from warmstart.training.config import Tracker

if TYPE_CHECKING:
    from transformers import TrainerCallback

__all__ = ["TENSORBOARD", "check_trackers", "tracker_callbacks"]

TENSORBOARD: Final = "tensorboard"  # a folder in the run's


def check_trackers(trackers: Sequence[Tracker]) -> None:
    """Refuses a tracker that is not installed. Call it before what takes long.

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


def tracker_callbacks(
    trackers: Sequence[Tracker], run: Path, first_step: int
) -> "list[TrainerCallback]":
    """What the Trainer calls for each tracker. Call it in the first process only.

    Args:
        trackers: by name.
        run: the run's folder, which exists; TensorBoard's files go there.
        first_step: steps made before, by the run that is resumed.
    """
    callbacks: list[TrainerCallback] = []
    for name in trackers:
        if name == "tensorboard":
            from torch.utils.tensorboard import SummaryWriter
            from transformers.integrations.integration_utils import TensorBoardCallback

            folder = os.environ.get("TENSORBOARD_LOGGING_DIR") or run / TENSORBOARD
            # What was logged after the checkpoint that a run goes on from is not shown.
            purged = first_step + 1 if first_step else None
            writer = SummaryWriter(folder, purge_step=purged)
            callbacks.append(TensorBoardCallback(writer))
        else:
            from transformers.integrations.integration_utils import TrackioCallback

            callbacks.append(TrackioCallback())
    return callbacks
