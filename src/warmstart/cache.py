"""What was read, tokenized or compiled once, kept in a folder and found again by its key.

A key is a digest of everything that the file depends on, so nothing in the folder is ever out of
date: whatever changes has another key. Files may be removed at any time.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from warmstart.errors import OutputError
from warmstart.writing import written_beside

__all__ = [
    "CACHE_VARIABLE",
    "cache_folder",
    "file_digest",
    "fingerprint",
    "kept",
    "kept_file",
    "kept_lock",
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
    """A digest of a file's bytes. It is remembered, and read again only when the file changed."""
    state = path.stat()
    where = fingerprint(
        str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ino, state.st_dev
    )
    note = cache_folder() / "files" / where
    try:
        return note.read_text(encoding="ascii")
    except OSError:
        digest = _digest_of_bytes(path)
    with suppress(OSError, OutputError):  # else it is read again the next time
        note.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(note) as partial:
            partial.write_text(digest, encoding="ascii")
    return digest


def _digest_of_bytes(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def kept(kind: str, key: str, suffix: str = ".arrow") -> Path:
    """Where a file of the cache is, or would be."""
    return cache_folder() / kind / f"{key}{suffix}"


def kept_lock(path: Path) -> Path:
    """The file that a process locks while it makes a file of the cache."""
    return path.with_suffix(".lock")


def kept_file(kind: str, key: str, write: Callable[[Path], object], suffix: str = ".arrow") -> Path:
    """A file of the cache, which `write` makes if it is not there.

    Two processes that ask for the same file at once make it once: the other waits. Where the file
    system has no locks, both make it, and the last one's stays.

    Raises:
        OutputError: It cannot be written.
    """
    path = kept(kind, key, suffix)
    if path.is_file():
        _mark_as_used(path)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the cache folder {path.parent} cannot be made: {error.strerror}. {CACHE_HINT}"
        ) from None
    with _locked(kept_lock(path)):
        if not path.is_file():
            with written_beside(path, hint=CACHE_HINT) as partial:
                write(partial)
    return path


def _mark_as_used(path: Path) -> None:
    with suppress(OSError):
        os.utime(path)  # so that what was not used for long can be told


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
