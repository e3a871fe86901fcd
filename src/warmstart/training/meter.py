"""The throughput of a run, without its evaluations and checkpoints."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from warmstart.training.batches import Batch
from warmstart.training.state import Events, RunState

__all__ = ["Meter", "Work"]

_RECENT: Final = 25  # steps that a displayed rate or loss is the mean of


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Examples and tokens trained on, and the time that it took."""

    examples: int = 0
    source_tokens: int = 0
    target_tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: Self) -> "Work":
        return Work(
            examples=self.examples + other.examples,
            source_tokens=self.source_tokens + other.source_tokens,
            target_tokens=self.target_tokens + other.target_tokens,
            seconds=self.seconds + other.seconds,
        )

    def rates(self) -> dict[str, float]:
        """Of each per second, as `metrics.jsonl` names them."""
        return {
            f"{name}_per_second": getattr(self, name) / max(self.seconds, 1e-9)
            for name in ("examples", "source_tokens", "target_tokens")
        }


class Meter(Events):
    """Counts the passes of this process, and keeps the values of its last steps.

    Attributes:
        losses: of the last steps, in nats per target token.
        gradient_norm: of the last step, before clipping.
        learning_rate: of the last step.
        evaluations: number of evaluations in this call.
        evaluation_seconds: time that they took.
    """

    def __init__(self) -> None:
        self.step = Work()  # the current one
        self.unread = Work()  # since `read` was last called
        self.last: deque[Work] = deque(maxlen=_RECENT)
        self.losses: deque[float] = deque(maxlen=_RECENT)
        self.gradient_norm = 0.0
        self.learning_rate = 0.0
        self.evaluations = 0
        self.evaluation_seconds = 0.0
        self.since = time.monotonic()

    def add(self, batch: Batch) -> None:
        """Counts one pass."""
        self.step += Work(
            examples=len(batch["target_lengths"]),
            source_tokens=sum(batch["source_lengths"]),
            target_tokens=sum(batch["target_lengths"]),
        )

    def note(self, loss: float, gradient_norm: float, learning_rate: float) -> None:
        """Keeps the values of a step."""
        self.losses.append(loss)
        self.gradient_norm, self.learning_rate = gradient_norm, learning_rate

    def started(self, state: RunState) -> None:
        """Starts the clock."""
        self.since = time.monotonic()

    def stepped(self, state: RunState) -> None:
        """Adds a step up."""
        now = time.monotonic()
        done = self.step + Work(seconds=now - self.since)
        self.since, self.step = now, Work()
        self.unread += done
        self.last.append(done)

    @contextmanager
    def paused(self, *, evaluation: bool = False) -> Iterator[None]:
        """Stops the clock within the block."""
        began = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - began
            self.since += took
            if evaluation:
                self.evaluations += 1
                self.evaluation_seconds += took

    def read(self) -> Work:
        """The work since the last call."""
        done, self.unread = self.unread, Work()
        return done

    def recent(self) -> Work:
        """The work of the last steps."""
        return sum(self.last, Work())

    def seconds_left(self, steps: int, evaluations: int) -> float | None:
        """The time that the rest of a run will take at the current rate; None: unknown so far.

        Args:
            steps: still to be made.
            evaluations: still to be made.
        """
        if not self.last:
            return None
        left = steps * self.recent().seconds / len(self.last)
        if self.evaluations:
            left += evaluations * self.evaluation_seconds / self.evaluations
        return left
