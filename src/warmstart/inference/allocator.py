"""The C library's policy for memory freed by decoding."""

import ctypes
import os
import platform
from functools import cache

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEPT = 256 << 20  # bytes, some matrices of logits
_MAPPED = 32 << 20  # bytes, up to which the threshold grows by itself


@cache
def keep_freed_memory() -> None:
    """Makes the process keep up to 256 MB of freed memory for the next allocations.

    By default glibc returns the memory freed by a decoding step to the system and obtains it again
    for the next one, page by page: with 128 beams and a vocabulary of 30,522 a tenth to a fifth of
    the time. Settings in glibc's environment variables take precedence.
    """
    chosen = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if chosen or platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_MMAP_THRESHOLD, _MAPPED)  # setting the other alone would fix it at 128 KB
    library.mallopt(_TRIM_THRESHOLD, _KEPT)
