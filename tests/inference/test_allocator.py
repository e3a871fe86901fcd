"""What decoding frees stays the process's."""

import os
import platform
import subprocess
import sys

import pytest

ROUNDS, MEGABYTES = 20, 16
CODE = f"""
import resource
from warmstart.inference.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({ROUNDS}):
        held = [b"\\1" * ({MEGABYTES} << 20) for _ in range(3)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
if KEEP:
    keep_freed_memory()
    faults()
print(faults())
"""


def faults(*, keep: bool, **environment: str) -> int:
    """Pages that were fetched for what had been freed before."""
    code = CODE.replace("KEEP", str(keep))
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_kept_unless_the_user_set_something() -> None:
    pages = 3 * (MEGABYTES << 20) // os.sysconf("SC_PAGE_SIZE")
    assert faults(keep=True) < pages
    if not any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        assert faults(keep=False) > ROUNDS / 2 * pages
    assert faults(keep=True, MALLOC_TRIM_THRESHOLD_="131072") > ROUNDS / 2 * pages
