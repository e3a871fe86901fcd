"""The files of a run with a line of JSON for each event, which a resumed run goes on with."""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from warmstart.writing import atomic_file

__all__ = ["METRICS", "Event", "MetricsLog", "append_events", "read_events", "rewind"]

METRICS: Final = "metrics.jsonl"

Event = Mapping[str, Any]


class MetricsLog(TrainerCallback):
    """Appends each event to a file: step, seconds of the run, and its values.

    Args:
        path: of the file. The seconds go on from its last line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started = time.monotonic()

    def go_on(self) -> None:
        """Goes on with the seconds of the file's last line."""
        before = max((event["seconds"] for event in read_events(self.path)), default=0.0)
        self.started = time.monotonic() - before

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Called by the Trainer."""
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return  # the last are the Trainer's sums over one process's life
        seconds = round(time.monotonic() - self.started, 1)
        append_events(self.path, [{"step": state.global_step, "seconds": seconds, **logs}])


def append_events(path: Path, events: Iterable[Event]) -> None:
    """Writes lines to the end of a file, in one piece."""
    lines = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)
    with path.open("a", encoding="utf-8") as file:
        file.write(lines)


def read_events(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; a line that was cut off is none. No file: no lines."""
    events = []
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:  # cut off, perhaps within a character
            continue
        if line.endswith(b"\n"):
            events.append(event)
    return events


def rewind(path: Path, history: Iterable[Event]) -> None:
    """Drops from a file what a checkpoint does not know of, before a run goes on from it.

    What a step logs is written before its checkpoint, but an evaluation that was interrupted comes
    after; it is made again.

    Args:
        path: of the file.
        history: the checkpoint's events.
    """
    if not path.exists():
        return
    known = {(event["step"], _is_evaluation(event)) for event in history}
    kept = [event for event in read_events(path) if (event["step"], _is_evaluation(event)) in known]
    with atomic_file(path) as partial:
        append_events(partial, kept)


def _is_evaluation(event: Event) -> bool:
    return "eval_loss" in event or "output" in event  # the latter is a sample of one
