"""Atomic writes: a file or folder is complete under its name, or not there at all.

It is written under a temporary name in the same folder, flushed to disk and renamed. The temporary
name contains the id of the writing process, so that the next one can remove leftovers of a killed
one.
"""

import ctypes
import errno
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

from warmstart.errors import OutputError

__all__ = [
    "atomic_file",
    "atomic_folder",
    "remove_leftovers",
    "sync",
    "write_error",
]

_PARTIAL: Final = ".partial-"
_OLD: Final = ".old-"
_REPLACED: Final = "replaced"  # the old folder, within the one for old contents
_STALE: Final = 7 * 24 * 3600  # seconds until the leftovers of another machine are removed


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
    remove_leftovers(path)
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=_prefix(path, _PARTIAL), suffix=path.suffix
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
    unchanged. Where the system can exchange two folders there is a folder of that name all the
    time; elsewhere it is missing between two renames, and after a kill there the next write
    restores the old contents.

    Args:
        folder: the folder to write; its parents are made.

    Raises:
        OutputError: if it cannot be written.
    """
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_prefix(folder, _PARTIAL)))
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
        _fsync(path, os.O_RDWR)  # Windows does not flush read-only handles


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(path: Path) -> None:
    """Removes leftovers of killed processes, and restores a folder that they moved.

    Args:
        path: the file or folder being written.
    """
    partial, old = f".{path.name}{_PARTIAL}", f".{path.name}{_OLD}"
    with suppress(OSError):  # no such folder, or no access
        for each in [*path.parent.iterdir()]:
            kind = next((kind for kind in (partial, old) if each.name.startswith(kind)), None)
            if kind is None or not _is_abandoned(each, each.name.removeprefix(kind)):
                continue
            if kind == old and not path.exists() and (each / _REPLACED).exists():
                (each / _REPLACED).rename(path)
            if each.is_dir():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)


def _prefix(path: Path, kind: str) -> str:
    return f".{path.name}{kind}{_machine()}-{os.getpid()}-"


def _is_abandoned(path: Path, writer: str) -> bool:
    """Whether the process that was writing has ended."""
    machine, _, rest = writer.partition("-")
    number = rest.partition("-")[0]
    if machine != _machine() or not number.isdecimal():
        # Of another machine, or before a restart, whose processes cannot be looked up.
        return time.time() - path.stat().st_mtime > _STALE
    if os.name == "nt" or int(number) == os.getpid():
        return False  # on Windows the signal would end the process
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # of another user
    return False


@cache
def _machine() -> str:
    """A name for this machine since it was started, as far as processes see each other."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=4).hexdigest()


def _swap(temporary: Path, folder: Path) -> None:
    """Gives `temporary` the name `folder`. Afterwards `temporary` may be the old folder."""
    if not folder.exists():
        temporary.rename(folder)
        return
    if _exchange(temporary, folder):
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_prefix(folder, _OLD)))
    try:
        folder.rename(old / _REPLACED)
        temporary.rename(folder)
    finally:
        if not folder.exists():
            (old / _REPLACED).rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(a: Path, b: Path) -> bool:
    """Exchanges two folders in one step; False where that is not supported."""
    paths = os.fsencode(a), os.fsencode(b)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if platform.system() == "Linux":
            at_cwd, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
            return bool(library.renameat2(at_cwd, paths[0], at_cwd, paths[1], exchange) == 0)
        if platform.system() == "Darwin":
            return bool(library.renamex_np(*paths, 2) == 0)  # RENAME_SWAP
    except (AttributeError, OSError, TypeError):  # no such function, or no C library
        pass
    return False


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
