"""The files of a run with a line of JSON for each event, which a resumed run continues."""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from warmstart.training.state import Events, RunState
from warmstart.writing import atomic_file

__all__ = ["METRICS", "Event", "MetricsLog", "append_events", "read_events", "rewind"]

METRICS: Final = "metrics.jsonl"

Event = Mapping[str, Any]


class MetricsLog(Events):
    """Appends each event to a file: step, seconds of the run, and its values.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began = time.monotonic()

    def resume(self) -> None:
        """Continues from the seconds of the file's last line."""
        before = max((event["seconds"] for event in read_events(self.path)), default=0.0)
        self.began = time.monotonic() - before

    def logged(self, state: RunState, values: Mapping[str, float]) -> None:
        """Appends a line."""
        seconds = round(time.monotonic() - self.began, 1)
        append_events(self.path, [{"step": state.step, "seconds": seconds, **values}])


def append_events(path: Path, events: Iterable[Event]) -> None:
    """Appends lines to a file in one write."""
    lines = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)
    with path.open("a", encoding="utf-8") as file:
        file.write(lines)


def read_events(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a file; a truncated last line is skipped. No file: no lines."""
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
    """Drops from a file the events that a checkpoint does not have, before a run resumes from it.

    A step's values are logged before its checkpoint, but those of an interrupted evaluation come
    after it; the evaluation is made again.

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
