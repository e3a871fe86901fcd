"""Runs under torchrun, one after the other: torchrun two_processes.py CHECKPOINT FOLDER RUNS

Each of the runs, a list in JSON, has a "name" and may have "changes" of the settings, the number of
"examples" to train and to validate on, "share", "resume"; "limits", the tokens of a pass of the
encoder beyond which memory runs out, by process; "stop" or "fail", the pass in which the second
process gets SIGTERM or runs out of memory; and the name of the error that "ends" all of them.
"""

import json
import logging
import os
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


def forward_with(event: Callable[[], None], calls: int) -> Any:
    """`Stack.forward`, in which something happens at one call of an encoder."""
    count = 0

    def forward(self: Stack, *arguments: Any) -> Any:
        nonlocal count
        if self.training and not self.config.causal:
            count += 1
            if count == calls:
                event()
        return FORWARD(self, *arguments)

    return forward


def sigterm() -> None:
    signal.raise_signal(signal.SIGTERM)


def fail() -> None:
    raise MemoryError


def one_run(checkpoint: Path, folder: Path, run: dict[str, Any]) -> None:
    config = replace(quick(folder / run["name"]), max_steps=5, batch_size=4, evaluate_every=3)
    config = replace(config, **run.get("changes", {}))
    limit = run.get("limits", {}).get(os.environ["RANK"])
    Stack.forward = FORWARD
    if limit is not None:
        Stack.forward = forward_limit(limit, MemoryError())
    for name, event in (("stop", sigterm), ("fail", fail)):
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
            told = f"{run['name']}: {type(error).__name__}: {error}\n"
            os.write(2, told.encode())  # in one piece, among other processes' lines
            if run.get("ends") != type(error).__name__:
                sys.exit(1)


if __name__ == "__main__":
    main()
