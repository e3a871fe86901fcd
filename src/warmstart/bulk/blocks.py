"""Input in blocks of lines, the same each time that an input is read."""

import io
import os
import select
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, cast

from warmstart.data.compressed import compression, open_bytes, read_problems
from warmstart.decoding.request import BATCHES_AHEAD
from warmstart.errors import DataError

__all__ = ["Block", "read_blocks", "total_bytes"]

STANDARD_INPUT: Final = "standard input"
_BLOCK_BYTES: Final = 4_000_000  # a block ends after the line that reaches them
_PAUSE: Final = 0.1  # seconds without input, after which a block ends
_READ_BYTES: Final = 2**16  # at a time, where pauses end blocks
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive lines of the input.

    Attributes:
        index: from 0.
        lines: as in the input, with their line ends.
        origins: (index in `lines`, file, number of that line in it) where each file begins.
        end: lines of the input up to the end of this block.
        bytes: of the input up to the end of this block.
        digest: hash of all input up to the end of this block.
        whole: whether the block has the same size each time that the input is read. The last block
            may not, nor a block ended by a pause.
    """

    index: int
    lines: tuple[bytes, ...]
    origins: tuple[tuple[int, str, int], ...]
    end: int
    bytes: int
    digest: str
    whole: bool

    def origin(self, line: int) -> tuple[str, int]:
        """The file of one of the lines, and its number there, from 1."""
        first, file, number = next(o for o in reversed(self.origins) if o[0] <= line)
        return file, number + line - first

    def __str__(self) -> str:
        (file, first), (last_file, last) = self.origin(0), self.origin(len(self.lines) - 1)
        return f"{file}, line {first} to {'' if file == last_file else f'{last_file}, '}line {last}"


def read_blocks(
    files: Sequence[Path], batch_lines: int, *, pauses: bool = False
) -> Iterator[Block]:
    """The input's lines, block by block. Only a line feed ends a line.

    The first block has one batch, so that outputs come soon; each has twice as many as the one
    before, up to 32.

    Args:
        files: plain, gzip or zstd, one after the other; none: standard input.
        batch_lines: lines of a batch.
        pauses: whether a pause of standard input also ends a block; then blocks differ from run to
            run.

    Raises:
        DataError: if a file is missing, damaged or cannot be read.
    """
    digest = blake2b(digest_size=16)
    held: list[bytes] = []
    origins: list[tuple[int, str, int]] = []
    index = end = size = held_bytes = number = 0
    name = STANDARD_INPUT

    def block(whole: bool) -> Block:
        return Block(index, tuple(held), tuple(origins), end, size, digest.hexdigest(), whole)

    for line in _lines(files, pauses=pauses):
        if line is None:
            if held:
                yield block(whole=False)
                index, held, held_bytes, origins = index + 1, [], 0, [(0, name, number + 1)]
            continue
        name, number, raw = line
        if number == 1:
            origins.append((len(held), name, 1))
            digest.update(b"\xff")  # no text holds it: a line moved between files is seen
        digest.update(raw)
        end, size, held_bytes = end + 1, size + len(raw), held_bytes + len(raw)
        held.append(raw.removeprefix(_BOM) if number == 1 else raw)
        if len(held) == _lines_of(index, batch_lines) or held_bytes >= _BLOCK_BYTES:
            yield block(whole=True)
            index, held, held_bytes, origins = index + 1, [], 0, [(0, name, number + 1)]
    if held:
        yield block(whole=False)


def _lines_of(index: int, batch_lines: int) -> int:
    """Number of lines of a block, by its index."""
    return batch_lines * min(BATCHES_AHEAD, 1 << min(index, BATCHES_AHEAD))


def total_bytes(files: Sequence[Path]) -> int | None:
    """Size of the input in bytes; None where only reading it would show."""
    if not files:
        if sys.stdin is None:
            return None
        try:
            status = os.fstat(sys.stdin.fileno())
        except (OSError, io.UnsupportedOperation):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None
    if any(compression(file) is not None or not file.is_file() for file in files):
        return None
    return sum(file.stat().st_size for file in files)


def _lines(files: Sequence[Path], *, pauses: bool) -> Iterator[tuple[str, int, bytes] | None]:
    """Yields each line with its file and its number; None for a pause of the input."""
    if not files:
        number = 0
        for raw in _standard_input(pauses=pauses):
            number += raw is not None
            yield None if raw is None else (STANDARD_INPUT, number, raw)
    for path in files:
        if path.is_file() and not path.stat().st_size:
            continue  # an empty file has no lines, whatever its compression
        name = str(path)
        with read_problems(path), open_bytes(path) as file:
            for number, raw in enumerate(file, start=1):
                yield name, number, raw


def _standard_input(*, pauses: bool) -> Iterator[bytes | None]:
    """Yields the lines of standard input; None for a pause."""
    if sys.stdin is None:
        raise DataError(f"{STANDARD_INPUT} is closed; give a file, or a pipe to read from.")
    stream = cast(io.BufferedReader, sys.stdin.buffer)
    if not pauses or not _waits(stream):
        yield from stream
        return
    rest = b""
    while True:
        # The bytes read are kept here and not in the stream's buffer, so `select` sees the rest.
        if not select.select([stream], [], [], _PAUSE)[0]:
            yield None
        part = stream.read1(_READ_BYTES)
        if not part:
            break
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


def _waits(stream: io.BufferedReader) -> bool:
    """Whether the stream can pause, and `select` can detect it."""
    try:
        kind = os.fstat(stream.fileno()).st_mode
    except (OSError, io.UnsupportedOperation):
        return False
    return os.name == "posix" and not stat.S_ISREG(kind)
