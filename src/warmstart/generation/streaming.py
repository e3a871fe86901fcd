"""Tokens of a search as they are written, while the search runs in a thread."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeAlias

__all__ = ["OnStep", "iterate_steps"]

# Called with the newest token of each row that is not finished.
OnStep: TypeAlias = Callable[[list[int]], None]


class _Abandoned(BaseException):
    """Ends a search whose iterator was closed."""


def iterate_steps(search: Callable[[OnStep], object]) -> Iterator[list[int]]:
    """The tokens of a search, step by step.

    Args:
        search: runs to its end in a thread of its own, and calls its argument at each step.

    Raises:
        Exception: whatever the search raises, after its last step.
    """
    steps: queue.SimpleQueue[list[int] | None] = queue.SimpleQueue()
    abandoned = threading.Event()
    raised: list[BaseException] = []

    def on_step(tokens: list[int]) -> None:
        if abandoned.is_set():
            raise _Abandoned
        steps.put(tokens)

    def run() -> None:
        try:
            search(on_step)
        except _Abandoned:
            pass
        except BaseException as error:
            raised.append(error)
        finally:
            steps.put(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while (step := steps.get()) is not None:
            yield step
    finally:
        abandoned.set()
        thread.join()
    for error in raised:
        raise error
