"""The states of all random generators, saved so that a resumed run draws the same numbers."""

import random
from pathlib import Path
from typing import Any

import numpy
import torch

from warmstart.training.processes import Processes

__all__ = ["load_random_state", "save_random_state"]


def save_random_state(folder: Path, processes: Processes) -> None:
    """Writes this process's generators to a checkpoint."""
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": numpy.random.get_state(),
        "cpu": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        several = processes.count > 1
        state["cuda"] = torch.cuda.get_rng_state_all() if several else torch.cuda.get_rng_state()
    torch.save(state, _file(folder, processes))


def load_random_state(checkpoint: Path, processes: Processes) -> None:
    """Sets this process's generators as they were at a checkpoint.

    With another number of processes there may be no file for this one; its generators then stay as
    they are.
    """
    path = _file(checkpoint, processes)
    if not path.is_file():
        return
    array = numpy.zeros(1, numpy.uint32)
    kinds: list[Any] = [array.__reduce__()[0], numpy.ndarray, numpy.dtype, type(array.dtype)]
    with torch.serialization.safe_globals(kinds):
        state = torch.load(path, weights_only=True)
    random.setstate(state["python"])
    numpy.random.set_state(state["numpy"])
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and "cuda" in state:
        if isinstance(state["cuda"], list):
            torch.cuda.set_rng_state_all(state["cuda"])
        else:
            torch.cuda.set_rng_state(state["cuda"])


def _file(folder: Path, processes: Processes) -> Path:
    several = processes.count > 1
    return folder / (f"rng_state_{processes.index}.pth" if several else "rng_state.pth")
