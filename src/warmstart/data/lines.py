"""Text files, plain or compressed, line by line, with an error that names the line."""

from collections.abc import Iterator
from pathlib import Path

from warmstart.data.compressed import name_of_magic, open_bytes, read_problems
from warmstart.errors import DataError

__all__ = ["decode_line", "read_lines"]


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, without their ends (LF or CRLF) and without a byte order mark.

    Only a line feed ends a line: what else Unicode takes for a separator stays in the text.

    Raises:
        DataError: The file is missing, empty or cannot be read, is not the gzip or zstd file that
            its name says, or has a line that is not UTF-8.
    """
    number = 0
    with read_problems(path), open_bytes(path) as file:
        for number, raw in enumerate(file, start=1):
            line = decode_line(raw, path, number)
            yield line.removeprefix("\ufeff") if number == 1 else line
    if number == 0:
        raise DataError(f"{path} is empty; it needs at least one example.")


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
        ending = name_of_magic(raw) if number == 1 else None
        hint = (
            "convert the file, for example with iconv."
            if ending is None
            else f"the file looks compressed: end its name in {ending}, or unpack it first."
        )
        raise DataError(
            f"{path}, line {number} is not UTF-8: byte 0x{raw[error.start]:02x} at position "
            f"{error.start + 1}; {hint}"
        ) from None
    return text.removesuffix("\n").removesuffix("\r")
