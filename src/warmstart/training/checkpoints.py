"""Checkpoints of a run, written whole or not at all.

Each holds the checksums of its files: ``SHA256SUMS`` is in the format of ``sha256sum``, which can
check it, too.
"""

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from warmstart.errors import OutputError, TrainingError, WarmstartError
from warmstart.writing import sync

__all__ = [
    "atomic_checkpoint",
    "checkpoint_folder",
    "checkpoints",
    "damage",
    "newest_whole",
    "prune",
]

logger = logging.getLogger(__name__)

SUMS: Final = "SHA256SUMS"
_PREFIX: Final = "checkpoint-"
_UNFINISHED: Final = ".unfinished"  # holds folders being written or removed
# Messages of torch.save's errors, which have no type of their own.
_WRITE_FAILURES: Final = ("PytorchStreamWriter", "iostream error", "inline_container.cc")


def checkpoint_folder(run: Path, step: int) -> Path:
    """The folder of a run's checkpoint at a step."""
    return run / f"{_PREFIX}{step}"


def checkpoints(run: Path) -> dict[int, Path]:
    """The checkpoints in a run's folder by step, ascending, damaged ones included."""
    by_step = {
        int(number): folder
        for folder in run.glob(f"{_PREFIX}*")
        if (number := folder.name.removeprefix(_PREFIX)).isdecimal() and folder.is_dir()
    }
    return dict(sorted(by_step.items()))


@contextmanager
def atomic_checkpoint(
    folder: Path,
    save_model: Callable[[Path], None],
    *,
    first: bool,
    together: Callable[[], AbstractContextManager[None]],
) -> Iterator[Path]:
    """A temporary folder to write a checkpoint to, renamed when it is complete.

    It is complete when every process is done, the checksums of its files are known, and all of it
    is on disk. A checkpoint of that name is replaced.

    Args:
        folder: of the checkpoint.
        save_model: writes the model to an empty folder; the first process calls it.
        first: whether this process is the first, which completes the checkpoint.
        together: makes a block that all processes leave together, with an error if one has it.

    Raises:
        OutputError: if it cannot be written; earlier checkpoints stay.
    """
    partial = folder.parent / _UNFINISHED / folder.name
    try:
        with together(), _write_failure_as_error(folder):
            if first:
                remove_unfinished(folder.parent)
                partial.mkdir(parents=True)
                save_model(partial)
        with together(), _write_failure_as_error(folder):
            yield partial
        with together(), _write_failure_as_error(folder):
            if first:
                _finish(partial, folder)
    except WarmstartError:  # here, where no other process is writing
        shutil.rmtree(partial, ignore_errors=True)  # the disk may be full of it
        _tidy(folder.parent)
        raise


@contextmanager
def _write_failure_as_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, OutputError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(
            each in str(error) for each in _WRITE_FAILURES
        ):
            raise
        reason = error.strerror if isinstance(error, OSError) else None
        raise OutputError(
            f"{folder} could not be written ({reason or 'is the disk full?'}); earlier checkpoints "
            "are whole. Free some space, then resume the run."
        ) from None


def _finish(partial: Path, folder: Path) -> None:
    files = sorted(path for path in partial.rglob("*") if path.is_file())
    lines = [f"{_sum(path)}  {path.relative_to(partial).as_posix()}\n" for path in files]
    (partial / SUMS).write_text("".join(lines), encoding="utf-8")
    for path in [*partial.rglob("*"), partial]:
        sync(path)
    _remove(folder)
    partial.rename(folder)
    _tidy(folder.parent)
    sync(folder.parent)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(checkpoint: Path) -> str | None:
    """The damage of a checkpoint, for a sentence about it; None: it is whole."""
    try:
        lines = (checkpoint / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return f"{SUMS} is missing or cannot be read"
    if not lines:
        return f"{SUMS} is empty"
    listed = {line.partition("  ")[2] for line in lines}
    for path in sorted(checkpoint.rglob("*")):
        name = path.relative_to(checkpoint).as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(checkpoint).parts)
        if path.is_file() and name not in listed | {SUMS} and not hidden:
            return f"{SUMS} has no line for {name}"
    for line in lines:
        expected, _, name = line.partition("  ")
        try:
            if _sum(checkpoint / name) != expected:
                return f"{name} has changed"
        except OSError:
            return f"{name} is missing or cannot be read"
    return None


def newest_whole(run: Path) -> Path:
    """The newest checkpoint that is whole. Logs a warning for each newer one that is damaged.

    Raises:
        TrainingError: if there is no whole checkpoint.
    """
    for folder in reversed(checkpoints(run).values()):
        problem = damage(folder)
        if problem is None:
            return folder
        message = "%s is damaged (%s); resuming from an earlier one."
        logger.warning(message, folder, problem, extra={"on_all_ranks": True})
    raise TrainingError(f"All checkpoints in {run} are damaged; start a new run in another folder.")


def prune(run: Path, limit: int, best: int | None) -> None:
    """Removes the oldest checkpoints beyond a limit, but never the newest nor the best.

    Args:
        run: the run's folder.
        limit: the number to keep.
        best: step of the best.
    """
    existing = checkpoints(run)
    others = [step for step in [*existing][:-1] if step != best]
    for step in others[: max(len(existing) - limit, 0)]:
        _remove(existing[step])


def remove_unfinished(run: Path) -> None:
    """Removes the leftovers of an interrupted process."""
    shutil.rmtree(run / _UNFINISHED, ignore_errors=True)


def _remove(folder: Path) -> None:
    """Renames the folder first: a process killed while it deletes leaves no half checkpoint."""
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
