"""Blocks decoded by many workers and yielded in their order, each exactly once.

A block whose worker is lost goes to another. Only one worker at a time has a block, and its outputs
are those of the worker that finishes it: so nothing is lost or duplicated.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from warmstart.bulk.blocks import Block
from warmstart.bulk.decode import Written
from warmstart.errors import WarmstartError

__all__ = ["Failed", "Finished", "Lost", "in_order"]

logger = logging.getLogger(__name__)

_TRIES: Final = 3  # workers per block
_AHEAD: Final = 4  # blocks read ahead of the next one to write, per worker


@dataclass(frozen=True, slots=True)
class Finished:
    """A decoded block."""

    block: Block
    written: Written


@dataclass(frozen=True, slots=True)
class Failed:
    """A block that cannot be decoded, with its error."""

    block: Block
    error: WarmstartError


@dataclass(frozen=True, slots=True)
class Lost:
    """A block whose worker is gone, with the reason."""

    block: Block
    reason: str


class Workers(Protocol):
    """Processes, local or remote, each decoding one block at a time."""

    count: int

    def free(self) -> bool:
        """Whether a worker has loaded the model and is idle."""

    def send(self, block: Block) -> None:
        """Gives a block to an idle worker."""

    def wait(self) -> Finished | Failed | Lost | None:
        """Waits for an event; None for one that concerns no block.

        Raises:
            WarmstartError: if no worker can start.
        """


def in_order(blocks: Iterator[Block], workers: Workers) -> Iterator[tuple[Block, Written]]:
    """Yields each block with its outputs, in the order of the blocks.

    Raises:
        WarmstartError: if a block has ended several workers, or, after all earlier blocks, if it
            cannot be decoded.
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
                    "perhaps out of memory; lower the batch size or the number of processes."
                )
            logger.warning("a process ended (%s); %s goes to another", event.reason, event.block)
            again.append(event.block)
        elif isinstance(event, Failed):
            running -= 1
            failed.append(event)
            following = None  # earlier blocks are with workers, or wait for one
        elif event is not None:
            running -= 1
            finished[event.block.index] = event.block, event.written
            while awaited in finished:
                yield finished.pop(awaited)
                awaited += 1
    if failed:
        raise min(failed, key=lambda event: event.block.index).error
