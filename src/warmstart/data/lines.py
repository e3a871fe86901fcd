"""Text files, plain or gzip, line by line, with an error that names the line."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from warmstart.errors import DataError

__all__ = ["decode_line", "is_gzip", "read_lines"]


def is_gzip(path: Path) -> bool:
    """Whether the name says that the file is compressed."""
    return path.suffix.lower() == ".gz"


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, without their ends (LF or CRLF) and without a byte order mark.

    Only a line feed ends a line: what else Unicode takes for a separator stays in the text.

    Raises:
        DataError: The file is missing, empty or cannot be read, is not the gzip file that its
            name says, or has a line that is not UTF-8.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, raw in enumerate(file, start=1):
                line = decode_line(raw, path, number)
                yield line.removeprefix("\ufeff") if number == 1 else line
    except FileNotFoundError:
        raise DataError(f"there is no file {path}; check the path to the data.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path} is not a complete gzip file (after line {number}: {error}); fetch it again, "
            "or take .gz off its name if it is plain text."
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    if number == 0:
        raise DataError(f"{path} is empty; it needs at least one example.")


def _open(path: Path) -> BinaryIO:
    if is_gzip(path):
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def decode_line(raw: bytes, path: Path, number: int) -> str:
    """A line's text, without its end (LF or CRLF).

    Args:
        raw: The line.
        path: Names its file in the error.
        number: Its own, counted from 1, likewise.

    Raises:
        DataError: It is not UTF-8.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        hint = (
            "the file looks compressed: end its name in .gz."
            if number == 1 and raw.startswith(b"\x1f\x8b")
            else "convert the file, for example with iconv."
        )
        raise DataError(
            f"{path}, line {number} is not UTF-8: byte 0x{raw[error.start]:02x} at position "
            f"{error.start + 1}; {hint}"
        ) from None
    return text.removesuffix("\n").removesuffix("\r")
