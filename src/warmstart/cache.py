"""A folder of files by key: data that was read, tokenized or compiled before.

A key is a digest of everything that the file depends on, so a file is never out of date: a change
gives another key. Files may be removed at any time.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from warmstart.errors import OutputError
from warmstart.writing import atomic_file

__all__ = [
    "CACHE_VARIABLE",
    "cache_folder",
    "cache_path",
    "cached_file",
    "distrust",
    "file_digest",
    "fingerprint",
    "lock_path",
]

CACHE_VARIABLE: Final = "WARMSTART_CACHE"
CACHE_HINT: Final = f"Set {CACHE_VARIABLE} to a folder with enough space."

_CHUNK: Final = 2**20  # bytes
_DIGEST: Final = re.compile("[0-9a-f]{32}")


def cache_folder() -> Path:
    """``$WARMSTART_CACHE``, else ``$XDG_CACHE_HOME/warmstart``, else ``~/.cache/warmstart``."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "warmstart"


def fingerprint(*parts: object) -> str:
    """A digest of values that JSON can hold, or bytes; 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """A digest of a file's bytes. It is cached; a file is read again only if it has changed."""
    state = path.stat()
    where = fingerprint(
        str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ino, state.st_dev
    )
    note = cache_folder() / "files" / where
    with suppress(OSError, UnicodeDecodeError):
        noted = note.read_text(encoding="ascii")
        if _DIGEST.fullmatch(noted) and distrust(note) is None:
            return noted
    digest = _digest_of_bytes(path)
    with suppress(OSError, OutputError):  # without a note it is read again the next time
        _make_folder(note.parent)
        with atomic_file(note) as partial:
            partial.write_text(digest, encoding="ascii")
    return digest


def _digest_of_bytes(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def distrust(path: Path) -> str | None:
    """The reason that another user may have written a file of the cache; None if none could.

    Args:
        path: of an existing file of the cache.

    Raises:
        OSError: if its status cannot be read.
    """
    if not hasattr(os, "geteuid"):
        return None  # Windows, where a user's folder is private
    folder = cache_folder()
    for each in (path, path.parent, folder, *folder.absolute().parents):
        state = each.stat() if each != path else each.lstat()
        if each == path and not stat.S_ISREG(state.st_mode):
            return f"{each} is not a file"
        if state.st_uid not in (os.geteuid(), 0):
            return f"{each} belongs to another user"
        ours = each in (path, path.parent, folder)
        # Above the cache, a group is often the user's own, and sticky folders keep names apart.
        writers = stat.S_IWGRP | stat.S_IWOTH if ours else stat.S_IWOTH
        if state.st_mode & writers and (ours or not state.st_mode & stat.S_ISVTX):
            return f"{each} can be written by other users"
    return None


def _make_folder(folder: Path) -> None:
    """Makes a folder of the cache, which other users cannot write to."""
    for each in (cache_folder(), folder):
        each.mkdir(parents=True, exist_ok=True)
        if hasattr(os, "geteuid") and each.stat().st_uid == os.geteuid():
            mode = stat.S_IMODE(each.stat().st_mode)
            if mode & (stat.S_IWGRP | stat.S_IWOTH):
                each.chmod(mode & ~(stat.S_IWGRP | stat.S_IWOTH))


def cache_path(kind: str, key: str, suffix: str = ".arrow") -> Path:
    """The path of a file of the cache, whether it exists or not."""
    return cache_folder() / kind / f"{key}{suffix}"


def lock_path(path: Path) -> Path:
    """The file that a process locks while it writes a file of the cache."""
    return path.with_suffix(".lock")


def cached_file(
    kind: str, key: str, write: Callable[[Path], object], suffix: str = ".arrow"
) -> Path:
    """The path of a file of the cache, which `write` writes if it does not exist.

    Of two simultaneous processes, one writes the file and the other waits. Where the file system
    has no locks, both write it, and the last one stays.

    Raises:
        OutputError: if it cannot be written.
    """
    path = cache_path(kind, key, suffix)
    if path.is_file():
        _mark_as_used(path)
        return path
    try:
        _make_folder(path.parent)
    except OSError as error:
        raise OutputError(
            f"The cache folder {path.parent} cannot be made: {error.strerror}. {CACHE_HINT}"
        ) from None
    with _locked(lock_path(path)):
        if not path.is_file():
            with atomic_file(path, hint=CACHE_HINT) as partial:
                write(partial)
    return path


def _mark_as_used(path: Path) -> None:
    with suppress(OSError):
        os.utime(path)  # so that files unused for long can be found and removed


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    from filelock import FileLock

    lock = FileLock(path)
    try:
        lock.acquire()
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()
