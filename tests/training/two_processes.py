"""A run started by torchrun: torchrun two_processes.py CHECKPOINT FOLDER WISHES as JSON

Wishes: "changes" of the settings, the number of "examples" to train and to validate on, "limits",
the tokens of an encoder pass beyond which memory runs out by process, "share" and "resume".
"""

import json
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.training.runs import copy_task, forward_limit, quick, seq2seq

from warmstart.errors import WarmstartError
from warmstart.model.stack import Stack
from warmstart.training.train import train


def main(checkpoint: Path, folder: Path, wishes: dict[str, Any]) -> None:
    logging.basicConfig(format="%(levelname)s %(message)s")
    config = replace(quick(folder), max_steps=5, batch_size=4, evaluate_every=3)
    config = replace(config, **wishes["changes"])
    limit = wishes["limits"].get(os.environ["RANK"])
    if limit is not None:
        Stack.forward = forward_limit(limit, MemoryError())
    model = seq2seq(checkpoint, share=wishes["share"])
    try:
        train(model, copy_task(*wishes["examples"]), config, resume=wishes["resume"])
    except WarmstartError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
