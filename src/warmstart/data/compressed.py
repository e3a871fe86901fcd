"""Compressed files, recognized by their suffix: gzip (.gz) and zstd (.zst)."""

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

from warmstart.errors import DataError

__all__ = [
    "Compression",
    "compression",
    "name_of_magic",
    "open_bytes",
    "read_problems",
    "without_compression",
]

Compression = Literal["gzip", "zstd"]

_ENDINGS: Final[Mapping[str, Compression]] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
# Other suffixes -> the program that unpacks them.
_UNREAD: Final[Mapping[str, str]] = {
    ".bz2": "bunzip2",
    ".xz": "unxz",
    ".lzma": "unlzma",
    ".lz4": "lz4 -d",
    ".br": "brotli -d",
    ".zip": "unzip",
    ".7z": "7z x",
    ".rar": "unrar x",
    ".tar": "tar -xf",
    ".tgz": "tar -xzf",
}
_MAGIC: Final[Mapping[bytes, str]] = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
_BUFFER: Final = 2**18  # bytes


def compression(path: Path) -> Compression | None:
    """The compression of a file by its suffix; None for a plain file.

    Raises:
        DataError: if the suffix is that of an unsupported compression.
    """
    ending = path.suffix.lower()
    if ending in _UNREAD:
        raise DataError(
            f"{path} has an unsupported compression; allowed are gzip (.gz) and zstd (.zst). "
            f"Unpack it first: {_UNREAD[ending]} {path}"
        )
    return _ENDINGS.get(ending)


def without_compression(path: Path) -> Path:
    """The name without ``.gz`` or ``.zst``."""
    return path.with_suffix("") if path.suffix.lower() in _ENDINGS else path


def open_bytes(path: Path) -> BinaryIO:
    """Opens a file for reading, decompressed on the fly.

    Raises:
        DataError: as `compression`.
        OSError: if it cannot be opened.
    """
    match compression(path):
        case None:
            return path.open("rb", buffering=_BUFFER)
        case "gzip":
            return cast(BinaryIO, gzip.open(path, "rb"))
        case "zstd":
            # Python has zstd from 3.14 on; Arrow, which reads Parquet here, has it too. It opens
            # folders and missing files with errors of its own, so Python opens the file.
            import pyarrow

            raw = pyarrow.PythonFile(path.open("rb"), mode="r")
            unpacked = pyarrow.CompressedInputStream(raw, "zstd")
            return cast(BinaryIO, io.BufferedReader(unpacked, _BUFFER))


@contextmanager
def read_problems(path: Path) -> Iterator[None]:
    """Turns errors of reading a file into sentences that name it.

    Raises:
        DataError: if the file is missing, unreadable, or not the gzip or zstd file of its name.
    """
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"There is no file {path}; check the path to the data.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, "gzip", error) from None
    except OSError as error:
        # Arrow's errors have no number.
        if error.errno is None and path.suffix.lower() in _ENDINGS:
            raise _damaged(path, "zstd", error) from None
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None


def _damaged(path: Path, kind: Compression, error: Exception) -> DataError:
    return DataError(
        f"{path} is not a complete {kind} file ({error}); fetch it again, or take {path.suffix} "
        "off its name if it is not compressed."
    )


def name_of_magic(start: bytes) -> str | None:
    """The suffix that a compressed file should have, by its first bytes."""
    for magic, ending in _MAGIC.items():
        if start.startswith(magic):
            return ending
    return None
