"""Text files, plain or compressed, line by line; errors name the line."""

from collections.abc import Iterator
from pathlib import Path

from warmstart.data.compressed import name_of_magic, open_bytes, read_problems
from warmstart.errors import DataError
from warmstart.special_files import special_file

__all__ = ["NotUtf8Error", "decode_line", "read_lines"]


class NotUtf8Error(DataError):
    """A line that is not UTF-8.

    Attributes:
        compressed: whether its bytes are the start of a compressed file.
    """

    def __init__(self, message: str, *, compressed: bool) -> None:
        super().__init__(message)
        self.compressed = compressed


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, without their ends (LF or CRLF) and without a byte order mark.

    Only a line feed ends a line: Unicode's other separators stay in the text.

    Raises:
        DataError: if the file is missing, empty or unreadable, is not the gzip or zstd file of
            its name, or has a line that is not UTF-8.
    """
    number = 0
    kind = special_file(path)
    if kind is not None:
        raise DataError(f"{path} is {kind}, not a file; give a file of texts.")
    with read_problems(path), open_bytes(path) as file:
        for number, raw in enumerate(file, start=1):
            line = decode_line(raw, path, number)
            yield line.removeprefix("\ufeff") if number == 1 else line
    if number == 0:
        raise DataError(f"{path} is empty; it needs at least one example.")


def decode_line(raw: bytes, path: Path, number: int) -> str:
    """A line's text, without its end (LF or CRLF).

    Args:
        raw: the line.
        path: its file, for the error.
        number: its number, counted from 1.

    Raises:
        DataError: if it is not UTF-8, or a whole file whose lines end in CR alone.
    """
    if number == 1 and b"\r" in raw[:-1] and not raw.endswith(b"\n"):
        raise DataError(
            f"{path} has line ends of carriage returns alone, as on old Macs; convert it: "
            f"tr '\\r' '\\n' < {path} > NEW"
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        ending = name_of_magic(raw) if number == 1 else None
        hint = (
            "convert the file, for example with iconv."
            if ending is None
            else f"the file looks compressed: end its name in {ending}, or unpack it first."
        )
        raise NotUtf8Error(
            f"{path}, line {number} is not UTF-8: byte 0x{raw[error.start]:02x} at position "
            f"{error.start + 1}; {hint}",
            compressed=ending is not None,
        ) from None
    return text.removesuffix("\n").removesuffix("\r")
