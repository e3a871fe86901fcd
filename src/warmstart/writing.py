"""Files that are there whole or not at all: written beside their place, then renamed."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warmstart.errors import OutputError

__all__ = ["written_beside"]


@contextmanager
def written_beside(path: Path, *, hint: str = "") -> Iterator[Path]:
    """A file to write, which takes the place of `path` when the block ends well.

    When the block fails, or is interrupted, nothing of it is left and `path` is as it was.

    Args:
        path: Where the file is to be.
        hint: What to do when it cannot be written, for the end of the error.

    Raises:
        OutputError: It cannot be written: the folder is missing, the disk is full, and so on.
    """
    partial: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        os.close(handle)
        partial = Path(name)
        yield partial
        partial.chmod(0o644)  # a temporary file's are private
        partial.replace(path)
        partial = None
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else error.strerror or str(error)
        hint = hint or ("Free some space." if full else "Check the folder and its permissions.")
        raise OutputError(f"{path} cannot be written: {why}. {hint}") from None
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
