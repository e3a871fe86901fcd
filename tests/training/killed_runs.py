"""Runs that are killed at random times and resumed: python killed_runs.py CHECKPOINT FOLDER SEED

Kills 30 processes, or on a slow machine as many as 40 seconds allow, but three at least; compares
each run that finishes with an uninterrupted one; prints the numbers of kills and of equal runs as
JSON.
"""

import json
import random
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from tests.support.killed import ended, fork
from tests.training.runs import copy_task, quick, seq2seq

from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.task import Task
from warmstart.training.checkpoints import checkpoints
from warmstart.training.train import train

KILLS, FEWEST, SECONDS = 30, 3, 40.0


def start(model: Seq2Seq, task: Task, folder: Path) -> int:
    """Forks a process that trains, or resumes training, and returns its id."""

    def run() -> None:
        # A run that was killed before its first checkpoint has nothing to resume from.
        if not (resume := bool(checkpoints(folder))):
            shutil.rmtree(folder, ignore_errors=True)
        config = replace(quick(folder), max_steps=8, evaluate_every=1, dropout=0.1)
        train(model, task, config, resume=resume)

    return fork(run, folder.with_name(f"{folder.name}.err"))


def main() -> None:
    checkpoint, folder, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    dice = random.Random(seed)
    model, task = seq2seq(checkpoint), copy_task(22, 2)
    began = time.monotonic()
    assert ended(start(model, task, folder / "whole"), 120.0)
    length = time.monotonic() - began
    expected = (folder / "whole" / "final" / "model.safetensors").read_bytes()
    kills, alike = 0, 0
    while True:
        slow = kills >= FEWEST and time.monotonic() - began >= SECONDS
        enough = kills >= KILLS or slow
        if enough and alike:
            break
        run = folder / f"run-{alike}"
        if not ended(start(model, task, run), 120.0 if enough else dice.uniform(0, length)):
            kills += 1
        else:
            assert (run / "final" / "model.safetensors").read_bytes() == expected
            alike += 1
    sys.stdout.write(json.dumps({"kills": kills, "alike": alike}))


if __name__ == "__main__":
    main()
