"""The examples of a step stay as many when a run goes on with other processes."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from warmstart.errors import TrainingError
from warmstart.training.config import TrainConfig

__all__ = ["kept_batch", "write_batch"]

logger = logging.getLogger(__name__)

_FILE: Final = "effective_batch.json"


def write_batch(config: TrainConfig, processes: int, checkpoint: Path) -> None:
    """Notes in a checkpoint how its steps are made up."""
    made_of = {
        "batch_size": config.batch_size,
        "accumulation_steps": config.accumulation_steps,
        "processes": processes,
    }
    (checkpoint / _FILE).write_text(json.dumps(made_of) + "\n", encoding="utf-8")


def kept_batch(config: TrainConfig, processes: int, checkpoint: Path) -> TrainConfig:
    """Settings under which a step has as many examples as when a checkpoint was written.

    The place in the data and the schedule count in steps, so these have to stay what they were.
    `batch_size` is kept if it can be, or else lowered; `accumulation_steps` follows.

    Args:
        config: of the run that goes on.
        processes: that it has now.
        checkpoint: to go on from.

    Raises:
        TrainingError: if so many processes cannot share the examples of a step.
    """
    if not (checkpoint / _FILE).is_file():
        return config
    before = json.loads((checkpoint / _FILE).read_text(encoding="utf-8"))
    examples = before["batch_size"] * before["accumulation_steps"] * before["processes"]
    if config.batch_size * config.accumulation_steps * processes == examples:
        return config
    share, rest = divmod(examples, processes)
    if rest:
        allowed = [count for count in range(1, examples + 1) if not examples % count]
        raise TrainingError(
            f"A step of this run has {examples} examples, which {processes} processes cannot share "
            f"evenly; resume it with one of these numbers of processes: "
            f"{', '.join(map(str, allowed))}."
        )
    size = next(size for size in range(min(config.batch_size, share), 0, -1) if not share % size)
    kept = replace(config, batch_size=size, accumulation_steps=share // size)
    logger.warning(
        "A step of this run has %d examples (batch_size %d, accumulation_steps %d, %d processes). "
        "To keep them with %d processes, batch_size is %d and accumulation_steps %d.",
        examples,
        before["batch_size"],
        before["accumulation_steps"],
        before["processes"],
        processes,
        kept.batch_size,
        kept.accumulation_steps,
    )
    return kept
