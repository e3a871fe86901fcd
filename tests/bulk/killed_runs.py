"""Runs that are killed at random times and resumed: python killed_runs.py MODEL FOLDER SEED

Kills processes until 15 were killed or 30 seconds are over, compares each file that gets to its end
with an uninterrupted run's, and prints as JSON how many were killed and how many files ended alike.
Processes are forked from this one, which has loaded everything, so that each costs little.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from itertools import cycle
from pathlib import Path

from tests.support.tiny import WORDS

from warmstart.bulk import output as output_module
from warmstart.bulk.job import Job
from warmstart.bulk.run import generate_files
from warmstart.seq2seq import Seq2Seq

KILLS, SECONDS = 15, 30.0


def start(job: Job, source: Path, target: Path) -> int:
    """Forks a process that writes a file, or goes on writing it, and returns its id."""
    process = os.fork()
    if process:
        return process
    code = 1
    log = os.open(f"{target}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 2)
    try:
        generate_files(job, [source], output=target, resume=True)
        code = 0
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def ended(process: int, seconds: float) -> bool:
    """Kills a process that has not ended after some time; whether it had ended well."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, "the run failed of its own"
            return True
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status) == 0


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
