"""What a run gets through in a second, evaluations and checkpoints left out."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from warmstart.training.batches import Batch

__all__ = ["Meter", "Work"]

_RECENT: Final = 25  # steps that a rate or loss to look at is the mean of


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What was passed over, and how long it took."""

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
        """Of each in a second, as `metrics.jsonl` names them."""
        return {
            f"{name}_per_second": getattr(self, name) / max(self.seconds, 1e-9)
            for name in ("examples", "source_tokens", "target_tokens")
        }


class Meter(TrainerCallback):
    """Counts the passes of this process, and tells its rates and its last losses.

    Attributes:
        losses: of the last steps, in nats per target token.
        gradient_norm: of the last step, before it is scaled down.
        learning_rate: that the last step was made with.
        evaluations: how many there were in this call.
        evaluation_seconds: that they took.
    """

    def __init__(self) -> None:
        self.step = Work()  # the one that goes on
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

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Called by the Trainer."""
        self.since = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Called by the Trainer, before it evaluates or saves."""
        now = time.monotonic()
        done = self.step + Work(seconds=now - self.since)
        self.since, self.step = now, Work()
        self.unread += done
        self.last.append(done)

    @contextmanager
    def paused(self, *, evaluation: bool = False) -> Iterator[None]:
        """What is not training, and not to be counted as such."""
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
        """What was done since this was last called."""
        done, self.unread = self.unread, Work()
        return done

    def recent(self) -> Work:
        """What was done in the last steps."""
        return sum(self.last, Work())

    def seconds_left(self, steps: int, evaluations: int) -> float | None:
        """How long the rest of a run will take, as the last steps did; None: nobody knows yet.

        Args:
            steps: to be made.
            evaluations: to be made.
        """
        if not self.last:
            return None
        left = steps * self.recent().seconds / len(self.last)
        if self.evaluations:
            left += evaluations * self.evaluation_seconds / self.evaluations
        return left
