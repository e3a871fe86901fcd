"""Runs under torchrun, one after the other: torchrun two_processes.py CHECKPOINT FOLDER RUNS

Each of the runs, a list in JSON, has a "name" and may have "changes" of the settings, the number of
"examples" to train and to validate on, "share", "resume"; "limits", the tokens of a pass of the
encoder beyond which memory runs out, by process; "room", the bytes beyond which a file cannot grow,
by process; "stop", "fail", "kill" or "lose", the pass in which the second process gets SIGTERM,
runs out of memory, is killed, or loses its loss; and the names of the errors that it "ends" with.
"""

import json
import logging
import math
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.training.runs import copy_task, forward_limit, quick, seq2seq

from warmstart.errors import WarmstartError
from warmstart.model.stack import Stack
from warmstart.training.train import train

FORWARD = Stack.forward


def forward_with(event: Callable[[], float], calls: int) -> Any:
    """`Stack.forward`, in which something happens at one call of an encoder; a factor comes out."""
    count = 0

    def forward(self: Stack, *arguments: Any) -> Any:
        nonlocal count
        if self.training and not self.config.causal:
            count += 1
            if count == calls:
                return FORWARD(self, *arguments) * event()
        return FORWARD(self, *arguments)

    return forward


def sigterm() -> float:
    signal.raise_signal(signal.SIGTERM)
    return 1.0


def fail() -> float:
    raise MemoryError


def kill() -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return 1.0


def lose() -> float:
    return math.nan


EVENTS = {"stop": sigterm, "fail": fail, "kill": kill, "lose": lose}


def one_run(checkpoint: Path, folder: Path, run: dict[str, Any]) -> None:
    config = replace(quick(folder / run["name"]), max_steps=5, batch_size=4, evaluate_every=3)
    config = replace(config, **run.get("changes", {}))
    limit = run.get("limits", {}).get(os.environ["RANK"])
    Stack.forward = FORWARD
    if limit is not None:
        Stack.forward = forward_limit(limit, MemoryError())
    room = run.get("room", {}).get(os.environ["RANK"], resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    for name, event in EVENTS.items():
        if name in run and os.environ["RANK"] == "1":
            Stack.forward = forward_with(event, run[name])
    model = seq2seq(checkpoint, share=run.get("share", "none"))
    train(model, copy_task(*run.get("examples", (24, 3))), config, resume=run.get("resume", False))


def main() -> None:
    logging.basicConfig(format="%(levelname)s %(message)s")
    for run in json.loads(sys.argv[3]):
        try:
            one_run(Path(sys.argv[1]), Path(sys.argv[2]), run)
        except WarmstartError as error:
            line = f"{run['name']}: {type(error).__name__}: {error}\n"
            os.write(2, line.encode())  # in one piece, among other processes' lines
            if type(error).__name__ not in run.get("ends", "").split():
                sys.exit(1)


if __name__ == "__main__":
    main()
