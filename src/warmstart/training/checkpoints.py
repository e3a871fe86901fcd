"""Checkpoints of a run: written beside, with the sums of their files, then renamed.

``SHA256SUMS`` is in the format of ``sha256sum``, which can check it, too.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from warmstart.errors import OutputError, TrainingError, WarmstartError

__all__ = [
    "checkpoint_folder",
    "checkpoints",
    "damage",
    "newest_whole",
    "prune",
    "remove_unfinished",
    "written_whole",
]

logger = logging.getLogger(__name__)

SUMS: Final = "SHA256SUMS"
_PREFIX: Final = "checkpoint-"
_UNFINISHED: Final = ".unfinished"  # holds what is being written or removed
# torch.save has no type of its own for them.
_OF_WRITING: Final = ("PytorchStreamWriter", "iostream error", "inline_container.cc")


def checkpoint_folder(run: Path, step: int) -> Path:
    """Where a run keeps the checkpoint of a step."""
    return run / f"{_PREFIX}{step}"


def checkpoints(run: Path) -> dict[int, Path]:
    """The checkpoints in a run's folder by their step, ascending, whether whole or not."""
    found = {
        int(number): folder
        for folder in run.glob(f"{_PREFIX}*")
        if (number := folder.name.removeprefix(_PREFIX)).isdecimal() and folder.is_dir()
    }
    return dict(sorted(found.items()))


@contextmanager
def written_whole(
    folder: Path,
    save_model: Callable[[Path], None],
    *,
    first: bool,
    together: Callable[[], AbstractContextManager[None]],
) -> Iterator[Path]:
    """Gives a folder to write a checkpoint to, which takes its name only when it is complete.

    It is complete when every process is done, the sums of its files are known, and all of it is
    on disk. A checkpoint of that name is replaced.

    Args:
        folder: of the checkpoint.
        save_model: writes the model to a folder that is empty; the first process calls it.
        first: whether this process is the first, which finishes it.
        together: makes a block that all processes leave together, with an error if one has it.

    Raises:
        OutputError: if it cannot be written; the checkpoints of before stay.
    """
    partial = folder.parent / _UNFINISHED / folder.name
    try:
        with together(), _told_of_writing(folder):
            if first:
                remove_unfinished(folder.parent)
                partial.mkdir(parents=True)
                save_model(partial)
        with together(), _told_of_writing(folder):
            yield partial
        with together(), _told_of_writing(folder):
            if first:
                _finish(partial, folder)
    except WarmstartError:  # here, when no other process writes any more
        shutil.rmtree(partial, ignore_errors=True)  # the disk may be full of it
        _tidy(folder.parent)
        raise


@contextmanager
def _told_of_writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, OutputError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(each in str(error) for each in _OF_WRITING):
            raise
        reason = error.strerror if isinstance(error, OSError) else None
        raise OutputError(
            f"{folder} could not be written ({reason or 'is the disk full?'}); checkpoints of "
            "before are whole. Make room, then resume the run."
        ) from None


def _finish(partial: Path, folder: Path) -> None:
    files = sorted(path for path in partial.rglob("*") if path.is_file())
    lines = [f"{_sum(path)}  {path.relative_to(partial).as_posix()}\n" for path in files]
    (partial / SUMS).write_text("".join(lines), encoding="utf-8")
    for path in [*partial.rglob("*"), partial]:
        _sync(path)
    _remove(folder)
    partial.rename(folder)
    _tidy(folder.parent)
    _sync(folder.parent)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, for a sentence about it; None: nothing, it is whole."""
    try:
        lines = (checkpoint / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return f"{SUMS} is missing or cannot be read"
    for line in lines:
        expected, _, name = line.partition("  ")
        try:
            if _sum(checkpoint / name) != expected:
                return f"{name} is not what was written"
        except OSError:
            return f"{name} is missing or cannot be read"
    return None if lines else f"{SUMS} is empty"


def newest_whole(run: Path) -> Path:
    """The newest checkpoint that is whole; says which newer ones are not.

    Raises:
        TrainingError: if there is none.
    """
    for folder in reversed(checkpoints(run).values()):
        problem = damage(folder)
        if problem is None:
            return folder
        told = "%s is damaged (%s); resuming from one before it."
        logger.warning(told, folder, problem, extra={"everywhere": True})
    raise TrainingError(f"There is no whole checkpoint in {run} to resume from; train anew.")


def prune(run: Path, limit: int, best: int | None) -> None:
    """Removes the oldest checkpoints beyond a number, but never the newest nor the best.

    Args:
        run: the run's folder.
        limit: how many to keep.
        best: the step of the best.
    """
    found = checkpoints(run)
    others = [step for step in [*found][:-1] if step != best]
    for step in others[: max(len(found) - limit, 0)]:
        _remove(found[step])


def remove_unfinished(run: Path) -> None:
    """Removes what an interrupted process left behind."""
    shutil.rmtree(run / _UNFINISHED, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Takes the name away first, or a process that is killed would leave half a checkpoint."""
    if folder.exists():
        grave = folder.parent / _UNFINISHED / f"removed-{folder.name}"
        shutil.rmtree(grave, ignore_errors=True)
        grave.parent.mkdir(exist_ok=True)
        folder.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)
        _tidy(folder.parent)


def _tidy(run: Path) -> None:
    with suppress(OSError):  # not there, or not empty
        (run / _UNFINISHED).rmdir()
