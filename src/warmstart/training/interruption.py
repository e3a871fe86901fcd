"""Signals that ask a run to stop: it finishes its step, saves a checkpoint and ends."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from warmstart.errors import Interrupted, tells
from warmstart.training.checkpoints import checkpoint_folder

__all__ = ["EvaluationAbandoned", "StopInOrder", "StopRequest", "stop_requests"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# torchrun passes on what the terminal has sent to all processes already: that is no second request.
_ONE_REQUEST: Final = 2.0  # seconds


class EvaluationAbandoned(BaseException):
    """Raised by a signal during an evaluation, which can take longer than one is given to stop."""


class StopRequest:
    """What has been asked for so far.

    Attributes:
        signal: the signal's number; 0: none.
        abandons: whether code runs that is to be left at once.
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
            if tells():
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

    Outside of the main thread, where Python allows no handlers, signals do what they always do.
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


class StopInOrder(TrainerCallback):
    """Ends a run at the end of a step, once its checkpoint is written.

    Args:
        resume: what the user can run to go on, for the message.
    """

    def __init__(self, resume: str) -> None:
        self.resume = resume
        self.signal = 0  # set by the Trainer when all processes know

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Called by the Trainer."""
        if control.should_save or state.global_step == state.max_steps:
            control.should_log = True  # else the losses since the last line would be lost
        if self.signal and state.global_step < state.max_steps:
            control.should_save = control.should_log = True
            control.should_evaluate = False  # who stops a process may not wait; see `trainer.py`

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Called by the Trainer after a checkpoint is written.

        Raises:
            Interrupted: if the run was asked to stop.
        """
        if self.signal and state.global_step < state.max_steps:
            assert args.output_dir is not None
            folder = checkpoint_folder(Path(args.output_dir), state.global_step)
            raise Interrupted(
                f"Stopped by {signal.Signals(self.signal).name} after step {state.global_step} of "
                f"{state.max_steps}; the checkpoint is {folder}. Go on with: {self.resume}",
                128 + self.signal,
            )
