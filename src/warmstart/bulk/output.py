"""Where outputs go: a stream, or a file that another run can go on with.

Beside a file that is being written lies FILE.progress.json: what the run was told, and how far
input and output got. It is there from before the file's first byte until behind its last, and is
replaced as a whole; what the file has beyond it is cut off and written again. A file that is to be
replaced stays as it is until there is a first block to write.
"""

import errno
import gzip
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from warmstart.bulk.blocks import Block
from warmstart.bulk.decode import Counts, Written
from warmstart.data.compressed import Compression, compression
from warmstart.errors import DataError, OutputError, UsageError
from warmstart.writing import atomic_file

__all__ = ["MODEL_FILES", "FileOutput", "Output", "Progress", "StreamOutput", "progress_file"]

_NOTE_EVERY: Final = 1.0  # seconds between two notes of how far a run is
MODEL_FILES: Final = "the model's files"  # among the settings: a digest of them
_VERSION: Final = 2  # of what a progress file holds


class Output(Protocol):
    """Takes blocks in their order."""

    start: "Progress"

    def write(self, block: Block, written: Written) -> None:
        """Takes the next block's outputs."""

    def close(self, *, done: bool) -> None:
        """Ends, with all written or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run got.

    Attributes:
        lines: of the input that are done.
        digest: of the input up to there, see `Block.digest`.
        bytes: of the output file.
        counts: of what is done.
    """

    lines: int = 0
    digest: str = ""
    bytes: int = 0
    counts: Counts = field(default_factory=Counts)


class StreamOutput:
    """A pipe, a terminal, or any file that is no regular one."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.start = Progress()
        self.stream = stream
        self.name = name

    def write(self, block: Block, written: Written) -> None:
        """Passes on a block at once."""
        with _write_problems(self.name):
            self.stream.write(written.data)
            self.stream.flush()

    def close(self, *, done: bool) -> None:
        """Leaves the stream to whoever opened it."""


class FileOutput:
    """A file, new or begun by an earlier run.

    Args:
        path: the file; packed if it ends in .gz or .zst.
        settings: what both runs must have in common.
        resume: whether to go on with what is there.
        overwrite: whether what is there may go.

    Raises:
        OutputError: it may not, or cannot, be written.
        UsageError: the settings are others than when the file was begun.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, object], *, resume: bool, overwrite: bool
    ) -> None:
        self.path = path
        self.settings = dict(settings)
        try:
            self.packing = compression(path)
        except DataError:
            raise UsageError(
                f"{path} should be packed, by its name, in a way that is not written; allowed are "
                "gzip (.gz), zstd (.zst), and other names for plain files."
            ) from None
        with _write_problems(path):  # of names that are too long
            size = path.stat().st_size if path.exists() else None
            noted = progress_file(path).exists()
        # An empty file without a note is of a run that was killed before it wrote anything, or of
        # an input without lines.
        self.finished = resume and bool(size) and not noted
        self.start = _noted(path, self.settings) if resume and noted else Progress()
        if self.finished:
            return
        if not resume and not overwrite and size is not None:
            begun = " and is not finished; --resume goes on with it, and" if noted else ";"
            raise OutputError(f"{path} exists{begun} --overwrite replaces it.")
        if (size or 0) < self.start.bytes:
            has = "is gone" if size is None else f"has {size} bytes"
            raise OutputError(
                f"{path} {has}, and the run that began it noted {self.start.bytes} bytes; bring "
                "back what it wrote, or start anew with --overwrite."
            )
        self.now, self.begun, self.new = self.start, False, size is None
        with _write_problems(path):
            self.file = path.open("ab")  # what is there is cut off later
        try:
            _lock(self.file, self.path)
        except BaseException:
            self.file.close()
            raise

    def _begin(self) -> None:
        """Cuts off what was written and not noted, or is to be replaced."""
        self._note()
        self.file.truncate(self.start.bytes)
        self.begun = True

    def write(self, block: Block, written: Written) -> None:
        """Appends a block."""
        data = _packed(written.data, self.packing)
        with _write_problems(self.path):
            if not self.begun:
                self._begin()
            self.file.write(data)
            if block.whole:  # else it is the last, and might have grown when it is read again
                self.now = Progress(
                    lines=block.end,
                    digest=block.digest,
                    bytes=self.now.bytes + len(data),
                    counts=self.now.counts + written.counts,
                )
            if time.monotonic() - self.noted > _NOTE_EVERY:
                self._note()

    def close(self, *, done: bool) -> None:
        """Notes how far it is, or takes the note away when all is written.

        A file that was made in vain goes, so that a wrong option can be mended and tried again.
        """
        if self.finished:
            return
        with _write_problems(self.path), self.file:
            if done and not self.begun:
                self._begin()
            if done:
                _sync(self.file)
                progress_file(self.path).unlink()
            elif self.begun:
                self._note()
            elif self.new:
                self.path.unlink()

    def _note(self) -> None:
        """First the file, then the note of it: one never tells of what is not there."""
        _sync(self.file)
        values = {"version": _VERSION, "settings": self.settings, **asdict(self.now)}
        with atomic_file(progress_file(self.path)) as partial:
            partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        self.noted = time.monotonic()


def progress_file(path: Path) -> Path:
    """What lies beside an output file while it is written."""
    return path.with_name(f"{path.name}.progress.json")


def _noted(path: Path, settings: Mapping[str, object]) -> Progress:
    """How far the run got that began a file.

    Raises:
        UsageError: it had other settings.
        OutputError: what it left cannot be read.
    """
    note = progress_file(path)
    try:
        values: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        if values["version"] != _VERSION:
            raise KeyError("version")
        before = values["settings"]
        found = Progress(
            lines=values["lines"],
            digest=values["digest"],
            bytes=values["bytes"],
            counts=Counts(**values["counts"]),
        )
    except (ValueError, KeyError, TypeError):
        raise OutputError(
            f"{note} is damaged or of another version, so {path} cannot be gone on with; "
            "--overwrite starts anew."
        ) from None
    now = json.loads(json.dumps(settings))
    for name in sorted({*before, *now}):
        if before.get(name) == now.get(name):
            continue
        if name == MODEL_FILES:
            raise UsageError(
                f"{path} was begun with another model, or the model's files have changed since; "
                "give the same to go on, or --overwrite to start anew."
            )
        raise UsageError(
            f"{path} was begun with {name} {_told(before.get(name))}, and now it is "
            f"{_told(now.get(name))}; give the same to go on, or --overwrite to start anew."
        )
    return found


def _told(value: object) -> str:
    return "not given" if value is None else f"{value!s:.80}"


def _packed(data: bytes, packing: Compression | None) -> bytes:
    """A part of a gzip or zstd file, which may have any number of them."""
    if packing is None:
        return data
    if packing == "gzip":
        return gzip.compress(data, compresslevel=6, mtime=0)
    import pyarrow

    return bytes(pyarrow.compress(data, codec="zstd", asbytes=True))


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _lock(file: BinaryIO, path: Path) -> None:
    """Two runs that write one file would spoil it. The lock ends with the process."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"{path} is being written by another process; wait for it, or name another file."
        ) from None


@contextmanager
def _write_problems(name: object) -> Iterator[None]:
    """A full disk in a sentence. A reader that is gone is nobody's mistake, and passes."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        why, hint = error.strerror or str(error), "Check the folder and its permissions."
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why, hint = "the disk is full", "Free some space."
        elif error.errno == errno.ENAMETOOLONG:
            hint = "Give it a shorter name: a file of that name and .progress.json lies beside it."
        raise OutputError(f"{name} cannot be written: {why}. {hint}") from None
