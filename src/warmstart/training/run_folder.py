"""The folder of a run: its contents decide whether a run starts, resumes, or is rejected."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final, Literal

from warmstart.errors import OutputError, TrainingError
from warmstart.training.checkpoints import checkpoints, newest_whole
from warmstart.training.metrics_log import METRICS, rewind
from warmstart.training.samples import SAMPLES
from warmstart.training.train_config import TrainConfig

__all__ = [
    "ADAPTER",
    "BASE",
    "FINAL",
    "RECIPE",
    "Resume",
    "check_output_folder",
    "checkpoint_to_resume",
    "locked_folder",
    "prepare_folder",
]

# False: a new run; True: resume; "auto": resume if there is a checkpoint, else a new run.
Resume = bool | Literal["auto"]

ADAPTER: Final = "adapter"  # of a run or checkpoint that trains adapters
BASE: Final = "base"  # the model that the adapters belong to
CONFIG: Final = "train_config.json"
FINAL: Final = "final"
RECIPE: Final = "recipe.yaml"


def check_output_folder(folder: Path, *, resume: Resume) -> None:
    """Rejects a folder that a run must not write to. Call it before any slow work.

    Args:
        folder: of the run.
        resume: whether to resume the run there.

    Raises:
        OutputError: if the folder holds another run or anything else, and `resume` is off.
        TrainingError: if there is nothing to resume.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"output_dir {folder} is a file; give a folder.")
    saved = checkpoints(folder)
    if saved and resume:
        return
    if resume is True:
        raise TrainingError(
            f"There is no checkpoint in {folder} to resume from; train without resume."
        )
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    ended_early = not saved and (folder / CONFIG).is_file()
    if ended_early and resume == "auto":
        return
    if saved:
        content = "an earlier run; resume it (--resume), or give a new folder"
    elif ended_early:
        content = (
            "a run that ended before its first checkpoint; remove it, start it again "
            "(--auto-resume), or give a new folder"
        )
    else:
        content = "other files; give a new folder"
    raise OutputError(f"The folder {folder} holds {content}.")


def checkpoint_to_resume(folder: Path, *, resume: Resume) -> Path | None:
    """The checkpoint to resume from; None: a new run.

    Raises:
        TrainingError: if there are checkpoints, but all are damaged.
    """
    return newest_whole(folder) if resume and checkpoints(folder) else None


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keeps other runs out of a folder within the block; the lock ends with the process, too.

    Where a folder cannot be locked (Windows, some network file systems) nothing is kept out.

    Args:
        folder: of the run; it is made.

    Raises:
        OutputError: if another run is writing to the folder.
    """
    try:
        import fcntl

        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with _taken_as_error(folder):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _taken_as_error(folder: Path) -> Iterator[None]:
    """A lock that another run holds as an error; a system without locks as none."""
    try:
        yield
    except BlockingIOError:
        raise OutputError(
            f"Another run is writing to {folder}; wait for it, or give a new folder."
        ) from None
    except OSError:
        pass


def prepare_folder(config: TrainConfig, recipe: str | None) -> None:
    """Makes the folder of a new run, which may replace one without a checkpoint.

    Raises:
        OutputError: if it cannot be made.
    """
    folder = config.output_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"output_dir {folder} cannot be made: {error.strerror}.") from None
    for name in (METRICS, SAMPLES):
        rewind(folder / name, [])
    settings = {**asdict(config), "output_dir": str(folder)}
    (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n")
    if recipe is not None:
        (folder / RECIPE).write_text(recipe, encoding="utf-8")
