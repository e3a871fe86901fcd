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

# Pages of a mapped file that were read stay in memory until something else wants it. The system
# may take them back at any time, but they look like ours; so they are given back after so much.
_RELEASE_EVERY: Final = 2**26  # bytes
# Where one row is read, the system maps the pages around it, too: so much for each column's offsets
# and as much for its values.
_AROUND: Final = 2**17  # bytes
_META: Final = b"warmstart"


class ArrowWriter:
    """Writes blocks of columns to an Arrow file; close it by `finish`.

    Attributes:
        memory: The whole file after `finish`, where it is kept in memory.

    Args:
        file: Where to; None keeps what is written in memory, see `memory`.
        schema: A `pyarrow.Schema`.
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
        file: What it was made from.
        meta: What `finish` was given.
        starts: The first row of each block, and the number of rows. Shape: [K + 1].

    Args:
        file: Its path, or all of its bytes.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is not whole.
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
        """How many blocks there are."""
        return len(self._blocks)

    def block(self, number: int) -> Any:
        """One block, a `pyarrow.RecordBatch` over the mapped file."""
        if self._blocks[number] is None:
            self._blocks[number] = self._reader.get_batch(number)
        return self._blocks[number]

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """The first row of each block, and the block; memory of those before is given back."""
        for number in range(self.block_count):
            block = self.block(number)
            yield int(self.starts[number]), block
            self.touch(block.nbytes)

    def locate(self, row: int) -> tuple[int, int]:
        """The block of a row, and its place in it."""
        number = int(self.starts.searchsorted(row, side="right")) - 1
        return number, row - int(self.starts[number])

    def touch_rows(self, count: int) -> None:
        """Notes that so many single rows were read, of two columns."""
        self.touch(count * 2 * _AROUND)

    def touch(self, count: int) -> None:
        """Notes that so many bytes were read, and gives memory back from time to time."""
        self._touched += count
        if self._touched > _RELEASE_EVERY:
            self._touched = 0
            if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
                self._map.madvise(mmap.MADV_DONTNEED)
