"""Input in blocks of lines, which are the same each time that an input is read."""

import io
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from warmstart.data.compressed import compression, open_bytes, read_problems

__all__ = ["STANDARD_INPUT", "Block", "read_blocks", "total_bytes"]

STANDARD_INPUT: Final = "standard input"
_BLOCK_BYTES: Final = 4_000_000  # a block ends behind the line that reaches them
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
        whole: whether the block is as large as blocks become; only the input's last may not be.
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


def read_blocks(files: Sequence[Path], lines: int) -> Iterator[Block]:
    """The input's lines, block by block. Only a line feed ends a line.

    Args:
        files: plain, gzip or zstd, one after the other; none: standard input.
        lines: of a block, at most.

    Raises:
        DataError: a file is missing, damaged or cannot be read.
    """
    digest = blake2b(digest_size=16)
    held: list[bytes] = []
    origins: list[tuple[int, str, int]] = []
    index = end = size = held_bytes = 0

    def block(whole: bool) -> Block:
        return Block(index, tuple(held), tuple(origins), end, size, digest.hexdigest(), whole)

    for name, number, raw in _lines(files):
        if number == 1:
            origins.append((len(held), name, 1))
            digest.update(b"\xff")  # no text holds it: a line moved between files is seen
        digest.update(raw)
        end, size, held_bytes = end + 1, size + len(raw), held_bytes + len(raw)
        held.append(raw.removeprefix(_BOM) if number == 1 else raw)
        if len(held) == lines or held_bytes >= _BLOCK_BYTES:
            yield block(whole=True)
            index, held, held_bytes = index + 1, [], 0
            origins = [(0, name, number + 1)]
    if held:
        yield block(whole=False)


def total_bytes(files: Sequence[Path]) -> int | None:
    """How much there is to read; None where that is not known without reading it."""
    if not files:
        try:
            status = os.fstat(sys.stdin.fileno())
        except (OSError, io.UnsupportedOperation):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None
    if any(compression(file) is not None or not file.is_file() for file in files):
        return None
    return sum(file.stat().st_size for file in files)


def _lines(files: Sequence[Path]) -> Iterator[tuple[str, int, bytes]]:
    """Each line with its file and its number."""
    if not files:
        for number, raw in enumerate(sys.stdin.buffer, start=1):
            yield STANDARD_INPUT, number, raw
    for path in files:
        if path.is_file() and not path.stat().st_size:
            continue  # of an empty file come no lines, whatever it should be packed with
        name = str(path)
        with read_problems(path), open_bytes(path) as file:
            for number, raw in enumerate(file, start=1):
                yield name, number, raw
