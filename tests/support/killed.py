"""Forked processes that are killed after some time.

They are forked from a process that has loaded everything, so that each costs little.
"""

import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

__all__ = ["ended", "fork"]


def fork(work: Callable[[], object], log: Path) -> int:
    """Starts a process that works, with its errors in a log, and returns its id."""
    process = os.fork()
    if process:
        return process
    code = 1
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def ended(process: int, seconds: float) -> bool:
    """Waits some time for a process, then kills it; whether it ended in time, and well."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, "the run failed by itself"
            return True
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status) == 0
