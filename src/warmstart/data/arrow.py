"""Rows in Arrow files: written in blocks, mapped into memory rather than read.

Shape legend: N rows, K blocks.
"""

import io
import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

__all__ = ["ArrowRows", "ArrowWriter"]

# Pages of a mapped file stay in memory until the system needs it, and count as ours. So they are
# released after this many bytes.
_RELEASE_EVERY: Final = 2**26  # bytes
# Reading one row maps the pages around it, too: this many bytes for each column's offsets and for
# its values.
_AROUND: Final = 2**17  # bytes
_META: Final = b"warmstart"


class ArrowWriter:
    """Writes blocks of columns to an Arrow file; close it by `finish`.

    Attributes:
        memory: the whole file after `finish`, where it is kept in memory.

    Args:
        file: the path to write to; None keeps the file in memory, see `memory`.
        schema: a `pyarrow.Schema`.
    """

    def __init__(self, file: Path | None, schema: Any) -> None:
        import pyarrow.ipc

        self._schema = schema
        self._file: BinaryIO = io.BytesIO() if file is None else file.open("wb")
        self._writer = pyarrow.ipc.new_file(self._file, schema)
        self._starts = [0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, columns: Sequence[Any]) -> None:
        """One block: an array for each column."""
        import pyarrow

        block = pyarrow.RecordBatch.from_arrays(list(columns), schema=self._schema)
        self._writer.write_batch(block)
        self._starts.append(self._starts[-1] + block.num_rows)

    def finish(self, meta: Mapping[str, Any]) -> None:
        """Ends the file, with values that JSON can hold."""
        import pyarrow

        empty = pyarrow.RecordBatch.from_pylist([], schema=self._schema)
        raw = json.dumps({"starts": self._starts, **meta}).encode()
        self._writer.write_batch(empty, custom_metadata={_META: raw})
        self._writer.close()
        self.memory = self._file.getvalue() if isinstance(self._file, io.BytesIO) else b""
        self._file.close()


class ArrowRows:
    """The rows of a file that `ArrowWriter` wrote.

    Attributes:
        file: its path, or all of its bytes.
        meta: the values given to `finish`.
        starts: the first row of each block, and the number of rows. Shape: [K + 1].

    Args:
        file: its path, or all of its bytes.

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if it is incomplete.
    """

    def __init__(self, file: Path | bytes) -> None:
        import numpy
        import pyarrow
        import pyarrow.ipc

        self.file = file
        self._map: mmap.mmap | None = None
        if isinstance(file, Path):
            with file.open("rb") as opened:
                self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        self._reader = pyarrow.ipc.open_file(pyarrow.py_buffer(self._map or file))
        count = self._reader.num_record_batches
        last = self._reader.get_batch_with_custom_metadata(count - 1)
        self.meta: dict[str, Any] = json.loads(last.custom_metadata[_META])
        self.starts = numpy.array(self.meta.pop("starts"), numpy.int64)
        self._blocks: list[Any] = [None] * (count - 1)
        self._touched = 0

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def block_count(self) -> int:
        """The number of blocks."""
        return len(self._blocks)

    def block(self, number: int) -> Any:
        """One block, a `pyarrow.RecordBatch` over the mapped file."""
        if self._blocks[number] is None:
            self._blocks[number] = self._reader.get_batch(number)
        return self._blocks[number]

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """The first row of each block, and the block; memory of the previous ones is released."""
        for number in range(self.block_count):
            block = self.block(number)
            yield int(self.starts[number]), block
            self.touch(block.nbytes)

    def locate(self, row: int) -> tuple[int, int]:
        """The block of a row, and its index in it."""
        number = int(self.starts.searchsorted(row, side="right")) - 1
        return number, row - int(self.starts[number])

    def touch_rows(self, count: int) -> None:
        """Records that `count` single rows of two columns were read."""
        self.touch(count * 2 * _AROUND)

    def touch(self, count: int) -> None:
        """Records that `count` bytes were read, and releases memory from time to time."""
        self._touched += count
        if self._touched > _RELEASE_EVERY:
            self._touched = 0
            if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
                self._map.madvise(mmap.MADV_DONTNEED)
