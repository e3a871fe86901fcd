"""The number of examples of a step, kept when a run resumes with another number of processes."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from warmstart.errors import TrainingError
from warmstart.training.train_config import TrainConfig

__all__ = ["keep_batch", "write_batch"]

logger = logging.getLogger(__name__)

_FILE: Final = "effective_batch.json"


def write_batch(config: TrainConfig, processes: int, checkpoint: Path) -> None:
    """Records in a checkpoint how its steps are made up."""
    name = _counted_by(config)
    parts = {
        name: getattr(config, name),
        "accumulation_steps": config.accumulation_steps,
        "processes": processes,
    }
    (checkpoint / _FILE).write_text(json.dumps(parts) + "\n", encoding="utf-8")


def keep_batch(config: TrainConfig, processes: int, checkpoint: Path) -> TrainConfig:
    """Settings with which a step is as large as when a checkpoint was written.

    The position in the data and the schedule are counted in steps, so steps must not change.
    `batch_size` (or `batch_tokens`) is kept if possible, or else lowered; `accumulation_steps`
    follows.

    Args:
        config: of the resumed run.
        processes: their number now.
        checkpoint: to resume from.

    Raises:
        TrainingError: if the processes cannot share a step evenly.
    """
    if not (checkpoint / _FILE).is_file():
        return config
    before = json.loads((checkpoint / _FILE).read_text(encoding="utf-8"))
    name = _counted_by(config)
    if name not in before:  # the unit has changed
        return config
    own: int = getattr(config, name)
    whole = before[name] * before["accumulation_steps"] * before["processes"]
    unit = "examples" if name == "batch_size" else "tokens"
    if own * config.accumulation_steps * processes == whole:
        return config
    share, rest = divmod(whole, processes)
    if rest:
        allowed = [count for count in range(1, min(whole, 64) + 1) if not whole % count]
        raise TrainingError(
            f"A step of this run has {whole} {unit}, which {processes} processes cannot share "
            f"evenly; resume it with one of these numbers of processes: "
            f"{', '.join(map(str, allowed))}."
        )
    size = next(size for size in range(min(own, share), 0, -1) if not share % size)
    kept = replace(config, accumulation_steps=share // size)
    if name == "batch_size":
        kept = replace(kept, batch_size=size)
    else:
        kept = replace(kept, batch_tokens=size)
    logger.warning(
        "A step of this run has %d %s (%s %d, accumulation_steps %d, %d processes). "
        "To keep them with %d processes, %s is %d and accumulation_steps %d.",
        whole,
        unit,
        name,
        before[name],
        before["accumulation_steps"],
        before["processes"],
        processes,
        name,
        size,
        kept.accumulation_steps,
        extra={"on_all_ranks": True},
    )
    return kept


def _counted_by(config: TrainConfig) -> str:
    return "batch_size" if config.batch_tokens is None else "batch_tokens"
