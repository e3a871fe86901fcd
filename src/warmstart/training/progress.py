"""What a run tells while it goes on: a bar on stderr, a line of JSON per event in a file."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

__all__ = ["JsonLog", "ProgressBar"]


class JsonLog(TrainerCallback):
    """Appends each event to a file: step, seconds since the start, and its values."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started = time.monotonic()

    def rewind(self, step: int) -> None:
        """Drops what was logged after a step, and a line that was cut off, before a run goes on."""
        if not self.path.exists():
            return
        kept = []
        for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True):
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                continue
            if event["step"] <= step and line.endswith("\n"):
                kept.append(line)
        beside = self.path.with_name(f".{self.path.name}")
        beside.write_text("".join(kept), encoding="utf-8")
        beside.replace(self.path)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Called by the Trainer."""
        if not state.is_world_process_zero:
            return
        seconds = round(time.monotonic() - self.started, 1)
        event = {"step": state.global_step, "seconds": seconds, **(logs or {})}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


class ProgressBar(TrainerCallback):
    """A bar with the last loss; off a terminal, a line per evaluation."""

    def __init__(self) -> None:
        self.console = Console(file=sys.stderr)
        self.bar: Progress | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Called by the Trainer."""
        if not state.is_world_process_zero:
            return
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.bar.start()
        self.task = self.bar.add_task(
            "training", total=state.max_steps, completed=state.global_step
        )

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Called by the Trainer."""
        if self.bar is not None:
            self.bar.update(self.task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Called by the Trainer."""
        if self.bar is None or not logs:
            return
        if "loss" in logs:
            self.bar.update(self.task, description=f"training, loss {logs['loss']:.3f}")
        scores = {
            key.removeprefix("eval_"): value
            for key, value in logs.items()
            if key.startswith("eval_")
        }
        if scores:
            told = ", ".join(f"{name} {value:.2f}" for name, value in scores.items())
            self.bar.console.print(f"step {state.global_step}: {told}", highlight=False)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Called by the Trainer."""
        self.stop()

    def stop(self) -> None:
        """Takes the bar away, and gives the terminal its cursor back."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
