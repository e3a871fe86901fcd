"""Outputs of a run: a stream, or a file that another run can resume.

During a run FILE.progress.json records its settings and its position in input and output. It
exists from before the file's first byte until after its last, and is replaced atomically; bytes of
the file after the recorded position are truncated and written again. An existing file is
overwritten only once there is a first block to write.
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
from warmstart.writing import atomic_file, write_error

__all__ = ["MODEL_FILES", "FileOutput", "Output", "Progress", "StreamOutput", "progress_file"]

_NOTE_EVERY: Final = 1.0  # seconds between two records of progress
MODEL_FILES: Final = "the model's files"  # their digest, among the settings
_VERSION: Final = 2  # of the format of progress files


class Output(Protocol):
    """Takes blocks in their order."""

    start: "Progress"

    def write(self, block: Block, written: Written) -> None:
        """Takes the next block's outputs."""

    def close(self, *, done: bool) -> None:
        """Ends the output, complete or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a run.

    Attributes:
        lines: finished lines of the input.
        digest: of the input up to them, see `Block.digest`.
        bytes: of the output file.
        counts: of the finished lines.
    """

    lines: int = 0
    digest: str = ""
    bytes: int = 0
    counts: Counts = field(default_factory=Counts)


class StreamOutput:
    """A pipe, a terminal, or any other file that is not a regular one."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.start = Progress()
        self.stream = stream
        self.name = name

    def write(self, block: Block, written: Written) -> None:
        """Writes a block and flushes."""
        with _write_problems(self.name):
            self.stream.write(written.data)
            self.stream.flush()

    def close(self, *, done: bool) -> None:
        """Leaves the stream open."""


class FileOutput:
    """A file, new or begun by an earlier run.

    Args:
        path: the file; compressed if it ends in .gz or .zst.
        settings: those that both runs must share.
        resume: whether to continue an existing file.
        overwrite: whether to replace an existing file.

    Raises:
        OutputError: if the file exists without `resume` or `overwrite`, or cannot be written.
        UsageError: if the settings differ from those of the interrupted run.
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
                f"{path} has the name of a compressed file that cannot be written; allowed are "
                "gzip (.gz), zstd (.zst), and other names for plain files."
            ) from None
        with _write_problems(path):  # of names that are too long
            size = path.stat().st_size if path.exists() else None
            noted = progress_file(path).exists()
        # An empty file without a progress file is of a run killed before its first block, or of an
        # input without lines.
        self.finished = resume and bool(size) and not noted
        self.start = _noted(path, self.settings) if resume and noted else Progress()
        if self.finished:
            return
        if not resume and not overwrite and size is not None:
            begun = " and is unfinished; --resume continues it, and" if noted else ";"
            raise OutputError(f"{path} exists{begun} --overwrite replaces it.")
        if (size or 0) < self.start.bytes:
            has = "is gone" if size is None else f"has {size} bytes"
            raise OutputError(
                f"{path} {has}, but its run recorded {self.start.bytes} bytes; restore the file, "
                "or start over with --overwrite."
            )
        self.now, self.begun, self.new = self.start, False, size is None
        with _write_problems(path):
            self.file = path.open("ab")  # truncated in `_begin`
        try:
            _lock(self.file, self.path)
        except BaseException:
            self.file.close()
            raise

    def _begin(self) -> None:
        """Truncates the file to the recorded position."""
        self._note()
        self.file.truncate(self.start.bytes)
        self.begun = True

    def write(self, block: Block, written: Written) -> None:
        """Appends a block."""
        # One that is not whole is the last, and may be longer in the next run.
        self.append(written, block.end, block.digest, noted=block.whole)

    def append(self, written: Written, lines: int, digest: str = "", *, noted: bool = True) -> None:
        """Appends outputs.

        Args:
            written: the outputs.
            lines: of the whole input that are done with them.
            digest: of the input up to there.
            noted: whether a resumed run may continue after them.
        """
        data = _packed(written.data, self.packing)
        with _write_problems(self.path):
            if not self.begun:
                self._begin()
            self.file.write(data)
            if noted:
                self.now = Progress(
                    lines=lines,
                    digest=digest,
                    bytes=self.now.bytes + len(data),
                    counts=self.now.counts + written.counts,
                )
            if time.monotonic() - self.noted > _NOTE_EVERY:
                self._note()

    def close(self, *, done: bool) -> None:
        """Records the progress, or removes the progress file of a complete output.

        A new file without a block is removed, so that the command can be corrected and repeated.
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
        """Syncs the file, then its record, so that the record is never ahead of the file."""
        _sync(self.file)
        values = {"version": _VERSION, "settings": self.settings, **asdict(self.now)}
        with atomic_file(progress_file(self.path)) as partial:
            partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        self.noted = time.monotonic()


def progress_file(path: Path) -> Path:
    """The progress file of an unfinished output."""
    return path.with_name(f"{path.name}.progress.json")


def _noted(path: Path, settings: Mapping[str, object]) -> Progress:
    """The recorded progress of an unfinished output.

    Raises:
        UsageError: if the settings differ.
        OutputError: if the progress file is damaged.
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
            f"{note} is damaged or of another version, so {path} cannot be resumed; --overwrite "
            "starts over."
        ) from None
    now = json.loads(json.dumps(settings))
    for name in sorted({*before, *now}):
        if before.get(name) == now.get(name):
            continue
        if name == MODEL_FILES:
            raise UsageError(
                f"{path} was begun with another model, or the model's files have changed since; "
                "give the same model to continue, or --overwrite to start over."
            )
        raise UsageError(
            f"{path} was begun with {name} {_shown(before.get(name))}, and now it is "
            f"{_shown(now.get(name))}; give the same to continue, or --overwrite to start over."
        )
    return found


def _shown(value: object) -> str:
    return "not given" if value is None else f"{value!s:.80}"


def _packed(data: bytes, packing: Compression | None) -> bytes:
    """A member of a gzip or zstd file, which may have any number of them."""
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
    """Locks the file against a second writer. The lock ends with the process."""
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
    """Turns write failures into an OutputError. A closed pipe is not a failure, and passes."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        too_long = error.errno == errno.ENAMETOOLONG
        hint = "Give it a shorter name: its progress file is named NAME.progress.json."
        raise write_error(name, error, hint if too_long else "") from None
