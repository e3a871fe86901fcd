"""A folder of files by key: data that was read, tokenized or compiled before.

A key is a digest of everything that the file depends on, so a file is never out of date: a change
gives another key. Files may be removed at any time.
"""

import hashlib
import json
import os
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
    "file_digest",
    "fingerprint",
    "lock_path",
]

CACHE_VARIABLE: Final = "WARMSTART_CACHE"
CACHE_HINT: Final = f"Set {CACHE_VARIABLE} to a folder with enough space."

_CHUNK: Final = 2**20  # bytes


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
    try:
        return note.read_text(encoding="ascii")
    except OSError:
        digest = _digest_of_bytes(path)
    with suppress(OSError, OutputError):  # without a note it is read again the next time
        note.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(note) as partial:
            partial.write_text(digest, encoding="ascii")
    return digest


def _digest_of_bytes(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


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

    Of two processes that ask for the same file at once, one writes it and the other waits. Where
    the file system has no locks, both write it, and the last one's stays.

    Raises:
        OutputError: if it cannot be written.
    """
    path = cache_path(kind, key, suffix)
    if path.is_file():
        _mark_as_used(path)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
