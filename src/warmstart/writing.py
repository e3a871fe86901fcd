"""Atomic writes: a file or folder is complete under its name, or not there at all.

It is written under a temporary name in the same folder, flushed to disk and renamed.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from warmstart.errors import OutputError

__all__ = ["atomic_file", "atomic_folder", "sync", "write_error"]


@contextmanager
def atomic_file(path: Path, *, hint: str = "") -> Iterator[Path]:
    """A temporary file to write, which replaces `path` when the block succeeds.

    When the block fails or is interrupted, the temporary file is removed and `path` is unchanged.
    The temporary name has the suffix of `path`, as some writers insist on theirs.

    Args:
        path: the file to write.
        hint: what to do if it cannot be written, for the end of the error.

    Raises:
        OutputError: if it cannot be written: the folder is missing, the disk is full, and so on.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.partial-", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)  # a temporary file is private
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise write_error(path, error, hint) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill, which replaces `folder` when the block succeeds.

    When the block fails or is interrupted, the temporary folder is removed and `folder` is
    unchanged.

    Args:
        folder: the folder to write; its parents are made.

    Raises:
        OutputError: if it cannot be written.
    """
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.partial-"))
        yield temporary
        temporary.chmod(0o755)  # a temporary folder is private
        for path in temporary.rglob("*"):
            if path.is_file():
                path.chmod(0o644)  # safetensors makes private files
            sync(path)
        sync(temporary)
        _swap(temporary, folder)
        sync(folder.parent)
    except OSError as error:
        raise write_error(folder, error) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def sync(path: Path) -> None:
    """Waits until a file, or the list of names in a folder, is on disk.

    Raises:
        OSError: if a file cannot be written to disk. Not every system can do it for folders.
    """
    if path.is_dir():
        with suppress(OSError):
            _fsync(path, os.O_RDONLY)
    else:
        _fsync(path, os.O_RDWR)  # Windows flushes no handle that is read-only


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        temporary.rename(folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old-"))
    folder.rename(old / "replaced")
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def write_error(name: object, error: OSError, hint: str = "") -> OutputError:
    """The error of a file or folder that cannot be written.

    Args:
        name: of the file or folder.
        error: of the system.
        hint: what to do, for the end of the sentence; default: by the kind of error.
    """
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = "the disk is full" if full else error.strerror or str(error)
    hint = hint or ("Free some space." if full else "Check the folder and its permissions.")
    made = OutputError(f"{name} cannot be written: {why}. {hint}")
    made.disk_full = full
    return made
