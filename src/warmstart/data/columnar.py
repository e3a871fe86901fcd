"""Rows of Parquet and Arrow files, a block at a time."""

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warmstart.data.compressed import compression, read_problems, without_compression
from warmstart.data.rows import Row
from warmstart.errors import DataError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["batch_rows", "read_arrow", "read_parquet"]

_ROWS: Final = 1024  # read at once: long documents are some 10 kB each
_BUFFER: Final = 2**20  # bytes of a column that are read ahead
_RELEASE_EVERY: Final = 2**26  # bytes of a mapped file


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Rows of a Parquet file.

    Args:
        path: the file.
        columns: columns to read; None: all.

    Raises:
        DataError: if the file is missing, truncated or not Parquet, or has no rows.
    """
    import pyarrow.parquet

    with read_problems(path), _arrow_problems(path, "Parquet"):
        _check_plain(path)
        with pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            yield from batch_rows(file.iter_batches(_ROWS, columns=columns), path, columns)


def read_arrow(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Rows of an Arrow file, in the file (Feather) or in the streaming format.

    Args:
        path: the file.
        columns: columns to take; None: all.

    Raises:
        DataError: if the file is missing, truncated or not Arrow, or has no rows.
    """
    with read_problems(path), _arrow_problems(path, "Arrow"):
        _check_plain(path)
        yield from batch_rows(_arrow_batches(path), path, columns)


def batch_rows(
    batches: Iterator["pyarrow.RecordBatch"], name: object, columns: Sequence[str] | None = None
) -> Iterator[Row]:
    """Rows of blocks, numbered from 1.

    Args:
        batches: the blocks.
        name: their origin, for the error.
        columns: columns to take; None: all.

    Raises:
        DataError: if there are no rows.
    """
    import pyarrow

    number = 0
    for batch in batches:
        names = batch.schema.names
        taken = [column for column in names if columns is None or column in columns]
        try:
            # Checks that offsets are within the file and texts are UTF-8: Arrow itself trusts them,
            # and a damaged file would crash the process.
            batch.validate(full=True)
        except pyarrow.ArrowInvalid as error:
            raise DataError(
                f"{name}, rows {number + 1} to {number + batch.num_rows} are damaged "
                f"({_first_line(error)}); fetch or write the file again."
            ) from None
        values = [batch.column(names.index(column)).to_pylist() for column in taken]
        for row in zip(*values, strict=True):
            number += 1
            yield Row(number, dict(zip(taken, row, strict=True)), "row")
    if number == 0:
        raise DataError(f"{name} has no rows; it needs at least one example.")


def _arrow_batches(path: Path) -> Iterator["pyarrow.RecordBatch"]:
    import pyarrow
    import pyarrow.ipc

    with path.open("rb") as raw:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty; it needs at least one example.")
        # Mapped, as a file may be one block, of any size. Pages that were read count as ours until
        # the system needs them, so they are released from time to time.
        mapped = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
    file = pyarrow.BufferReader(pyarrow.py_buffer(mapped))
    passed = 0
    for batch in _blocks(file):
        for piece in _pieces(batch):
            yield piece
            passed += piece.nbytes
            if passed > _RELEASE_EVERY and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
                mapped.madvise(mmap.MADV_DONTNEED)
                passed = 0


def _blocks(file: Any) -> Iterator["pyarrow.RecordBatch"]:
    """The blocks of a file in either of Arrow's formats."""
    import pyarrow.ipc

    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    if is_file:
        with pyarrow.ipc.open_file(file) as reader:
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
    else:
        with pyarrow.ipc.open_stream(file) as stream:
            yield from stream


def _pieces(batch: "pyarrow.RecordBatch") -> Iterator["pyarrow.RecordBatch"]:
    """A block in parts that are small as Python values."""
    for start in range(0, batch.num_rows, _ROWS):
        yield batch.slice(start, _ROWS)


def _check_plain(path: Path) -> None:
    if compression(path) is not None:
        raise DataError(
            f"{path} is {without_compression(path).suffix} inside another compression; unpack it "
            "first: the format is compressed itself and is read at random positions."
        )


@contextmanager
def _arrow_problems(path: Path, what: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:  # names of columns, too
        raise _damaged(path, what, error) from None
    except OSError as error:
        if error.errno is not None or isinstance(error, FileNotFoundError):
            raise
        raise _damaged(path, what, error) from None  # Arrow's errors have no number


def _damaged(path: Path, what: str, error: Exception) -> DataError:
    return DataError(
        f"{path} is not a complete {what} file ({_first_line(error)}); fetch or write it again."
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(". ") if str(error) else "unreadable"
