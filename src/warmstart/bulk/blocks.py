"""Input in blocks of lines, which are the same each time that an input is read."""

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
from warmstart.errors import DataError

__all__ = ["STANDARD_INPUT", "Block", "read_blocks", "total_bytes"]

STANDARD_INPUT: Final = "standard input"
_BATCHES: Final = 32  # of a block, so that texts of like length can be put together
_BLOCK_BYTES: Final = 4_000_000  # a block ends behind the line that reaches them
_PAUSE: Final = 0.1  # seconds without input, after which what there is need not wait
_READ_BYTES: Final = 2**16  # at a time, where pauses are looked for
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines that follow each other.

    Attributes:
        index: its place among the blocks, from 0.
        lines: as they stand in the input, with their ends.
        origins: (place in `lines`, file, number of that line in it) where each file begins.
        end: how many lines of the whole input end with this block.
        bytes: how many bytes they are.
        digest: a hash of all input up to here.
        whole: whether the block is as large as it becomes each time that the input is read. The
            last may not be, nor one that a pause has ended.
    """

    index: int
    lines: tuple[bytes, ...]
    origins: tuple[tuple[int, str, int], ...]
    end: int
    bytes: int
    digest: str
    whole: bool

    def place(self, line: int) -> tuple[str, int]:
        """The file of one of the lines, and its number there, from 1."""
        first, file, number = next(o for o in reversed(self.origins) if o[0] <= line)
        return file, number + line - first

    def __str__(self) -> str:
        (file, first), (last_file, last) = self.place(0), self.place(len(self.lines) - 1)
        return f"{file}, line {first} to {'' if file == last_file else f'{last_file}, '}line {last}"


def read_blocks(
    files: Sequence[Path], batch_lines: int, *, pauses: bool = False
) -> Iterator[Block]:
    """The input's lines, block by block. Only a line feed ends a line.

    The first block has one batch, so that outputs come soon; each has twice as many as the one
    before, up to 32.

    Args:
        files: plain, gzip or zstd, one after the other; none: standard input.
        batch_lines: lines that are decoded side by side.
        pauses: whether a pause of standard input ends a block, too; then blocks are not the same
            each time.

    Raises:
        DataError: a file is missing, damaged or cannot be read.
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
    """How many lines a block has, by its place."""
    return batch_lines * min(_BATCHES, 1 << min(index, _BATCHES))


def total_bytes(files: Sequence[Path]) -> int | None:
    """How much there is to read; None where that is not known without reading it."""
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
    """Each line with its file and its number; None: the input pauses."""
    if not files:
        number = 0
        for raw in _standard_input(pauses=pauses):
            number += raw is not None
            yield None if raw is None else (STANDARD_INPUT, number, raw)
    for path in files:
        if path.is_file() and not path.stat().st_size:
            continue  # of an empty file come no lines, whatever it should be packed with
        name = str(path)
        with read_problems(path), open_bytes(path) as file:
            for number, raw in enumerate(file, start=1):
                yield name, number, raw


def _standard_input(*, pauses: bool) -> Iterator[bytes | None]:
    """Its lines; None: for a while there were no more of them."""
    if sys.stdin is None:
        raise DataError(f"{STANDARD_INPUT} is closed; give a file, or a pipe to read from.")
    stream = cast(io.BufferedReader, sys.stdin.buffer)
    if not pauses or not _waits(stream):
        yield from stream
        return
    rest = b""
    while True:
        # What was read lies here and not in the stream's buffer, so the system knows of the rest.
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
    """Whether the system can tell if there is something to read, and there may be nothing yet."""
    try:
        kind = os.fstat(stream.fileno()).st_mode
    except (OSError, io.UnsupportedOperation):
        return False
    return os.name == "posix" and not stat.S_ISREG(kind)
