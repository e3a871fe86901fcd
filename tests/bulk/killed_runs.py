"""Runs that are killed at random times and resumed: python killed_runs.py MODEL FOLDER SEED

Kills processes until 15 were killed or 30 seconds are over, compares each file that gets to its end
with an uninterrupted run's, and prints as JSON how many were killed and how many files ended alike.
"""

import json
import random
import sys
import time
from itertools import cycle
from pathlib import Path

from tests.support.killed import ended, fork
from tests.support.tiny import WORDS

from warmstart.bulk import file_output as output_module
from warmstart.bulk.job import Job
from warmstart.bulk.run import generate_files
from warmstart.seq2seq import Seq2Seq

KILLS, SECONDS = 15, 30.0


def start(job: Job, source: Path, target: Path) -> int:
    """Forks a process that writes a file, or resumes writing it, and returns its id."""
    log = target.with_name(f"{target.name}.err")
    return fork(lambda: generate_files(job, [source], output=target, resume=True), log)


def main() -> None:
    model, folder, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    dice = random.Random(seed)
    output_module._NOTE_EVERY = 0.0  # a note for each block: more that can go wrong
    source = folder / "in.txt"
    texts = [" ".join(dice.choices(WORDS, k=dice.randint(0, 7))) for _ in range(300)]
    source.write_text("\n".join(texts))
    job = Job(model=model, batch_size=1, max_length=4)
    Seq2Seq.from_pretrained(model).generate(texts[:3], max_length=4)
    expected, lengths = {}, {}
    for name in ("out.txt", "out.gz"):
        began = time.monotonic()
        assert ended(start(job, source, folder / f"whole-{name}"), 120.0)
        lengths[name] = time.monotonic() - began
        expected[name] = (folder / f"whole-{name}").read_bytes()
    began, kills, alike = time.monotonic(), 0, 0
    for name in cycle(expected):
        target = folder / f"{alike}-{name}"
        while True:
            last = kills >= KILLS or time.monotonic() - began >= SECONDS
            seconds = 120.0 if last else dice.uniform(0, lengths[name])
            if ended(start(job, source, target), seconds):
                break
            kills += 1
        assert target.read_bytes() == expected[name], target
        assert not (folder / f"{target.name}.progress.json").exists()
        alike += 1
        if last and alike >= 2:
            break
    sys.stdout.write(json.dumps({"kills": kills, "alike": alike}))


if __name__ == "__main__":
    main()
