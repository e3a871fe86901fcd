"""A run started by torchrun: torchrun two_processes.py CHECKPOINT FOLDER [CHANGES as JSON]"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from tests.training.runs import copy_task, quick, seq2seq

from warmstart.training.train import train


def main() -> None:
    checkpoint, folder = map(Path, sys.argv[1:3])
    changes = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    config = replace(quick(folder), max_steps=5, batch_size=4, evaluate_every=3)
    train(seq2seq(checkpoint), copy_task(24, 3), replace(config, **changes))


if __name__ == "__main__":
    main()
