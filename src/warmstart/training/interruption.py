"""Signals that ask a run to stop: it finishes its step, saves a checkpoint and ends."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from warmstart.errors import Interrupted, is_reporting_rank
from warmstart.training.checkpoints import checkpoint_folder
from warmstart.training.state import RunState

__all__ = ["EvaluationAbandoned", "StopRequest", "interrupted", "stop_requests"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# torchrun forwards a signal that the terminal has sent to all processes already: one request.
_ONE_REQUEST: Final = 2.0  # seconds


class EvaluationAbandoned(BaseException):
    """Raised by a signal during an evaluation, which may outlast the time given to stop."""


class StopRequest:
    """A request to stop, made by a signal.

    Attributes:
        signal: the signal's number; 0: none so far.
        abandons: whether the code that is running is to be left at once.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.since = 0.0
        self.abandons = False

    def receive(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. The second request ends the process as if there were no handler."""
        if not self.signal:
            self.signal, self.since = number, time.monotonic()
            # Not through `sys.stderr`, which may be in the middle of a write.
            if is_reporting_rank():
                os.write(2, b"\nstopping after this step, with a checkpoint\n")
            if self.abandons:
                raise EvaluationAbandoned
        elif time.monotonic() - self.since > _ONE_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            signal.raise_signal(number)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turns SIGINT (Ctrl-C) and SIGTERM into requests within the block.

    Outside of the main thread, where Python allows no handlers, signals keep their effect.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupted(signal_: int, state: RunState, run: Path, resume: str) -> Interrupted:
    """The error that ends a run once the checkpoint of its step is written.

    Args:
        signal_: that has asked for it.
        state: after the step.
        run: the run's folder.
        resume: the command that continues the run.
    """
    return Interrupted(
        f"Stopped by {signal.Signals(signal_).name} after step {state.step} of "
        f"{state.max_steps}; the checkpoint is {checkpoint_folder(run, state.step)}. "
        f"Continue with: {resume}",
        128 + signal_,
    )
