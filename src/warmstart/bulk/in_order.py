"""Blocks decoded by many workers and handed on in their order, each of them once.

A block whose worker is lost is given to another. Its outputs come from whoever finishes it, and a
block is with one worker at a time: so nothing is lost, and nothing comes twice.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from warmstart.bulk.blocks import Block
from warmstart.bulk.decode import Written
from warmstart.errors import WarmstartError

__all__ = ["Failed", "Finished", "Lost", "Workers", "in_order"]

logger = logging.getLogger(__name__)

_TRIES: Final = 3  # workers that a block may be given to
_AHEAD: Final = 4  # blocks that are read ahead of the one to be written next, for each worker


@dataclass(frozen=True, slots=True)
class Finished:
    """A block that a worker has decoded."""

    block: Block
    written: Written


@dataclass(frozen=True, slots=True)
class Failed:
    """A block that cannot be decoded, and why."""

    block: Block
    error: WarmstartError


@dataclass(frozen=True, slots=True)
class Lost:
    """A block whose worker is gone, and how that went."""

    block: Block
    reason: str


class Workers(Protocol):
    """Processes, here or elsewhere, each of which decodes a block at a time."""

    count: int

    def free(self) -> bool:
        """Whether one of them has loaded the model and nothing to do."""

    def send(self, block: Block) -> None:
        """Gives a block to one that is free."""

    def wait(self) -> Finished | Failed | Lost | None:
        """Waits until something has happened; None: nothing has to a block.

        Raises:
            WarmstartError: none can start.
        """


def in_order(blocks: Iterator[Block], workers: Workers) -> Iterator[tuple[Block, Written]]:
    """Each block with its outputs, in the order of the blocks.

    Raises:
        WarmstartError: a block has ended one worker after the other; or cannot be decoded, when
            those before it have been handed on.
    """
    again: deque[Block] = deque()
    finished: dict[int, tuple[Block, Written]] = {}
    lost: Counter[int] = Counter()
    failed: list[Failed] = []
    running = 0
    following: Block | None = next(blocks, None)
    awaited = 0 if following is None else following.index
    while again or running or following is not None:
        while workers.free():
            if again:
                workers.send(again.popleft())
            elif following is not None and following.index < awaited + _AHEAD * workers.count:
                workers.send(following)
                following = next(blocks, None)
            else:
                break
            running += 1
        event = workers.wait()
        if isinstance(event, Lost):
            running -= 1
            lost[event.block.index] += 1
            if lost[event.block.index] == _TRIES:
                raise WarmstartError(
                    f"{event.block} ended {_TRIES} processes one after the other ({event.reason}), "
                    "perhaps for want of memory; lower the batch size or the number of processes."
                )
            logger.warning("a process ended (%s); %s goes to another", event.reason, event.block)
            again.append(event.block)
        elif isinstance(event, Failed):
            running -= 1
            failed.append(event)
            following = None  # those before it are with workers, or wait for another
        elif event is not None:
            running -= 1
            finished[event.block.index] = event.block, event.written
            while awaited in finished:
                yield finished.pop(awaited)
                awaited += 1
    if failed:
        raise min(failed, key=lambda event: event.block.index).error
