"""Files that are not read to an end: pipes, sockets and devices. They are named, not waited for."""

import stat
from pathlib import Path

__all__ = ["special_file"]


def special_file(path: Path) -> str | None:
    """What a path is that has no end or no beginning, as "a device"; None: read it like a file.

    Streams that a shell hands over (``/dev/stdin``, ``<(command)``) are read like files, too.
    """
    if path.parts[:2] in (("/", "proc"), ("/", "dev")) and (
        "fd" in path.parts or path.name in ("stdin", "stdout", "stderr", "null", "tty")
    ):
        return None
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
             stat.S_IFBLK: "a device"}  # fmt: skip
    return kinds.get(stat.S_IFMT(mode))
