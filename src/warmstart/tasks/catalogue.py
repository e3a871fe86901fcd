"""Every task by name, and a task with data."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from warmstart.data.columns import ColumnMapping
from warmstart.data.example import Example
from warmstart.data.hold_out import hold_out
from warmstart.data.pairs import DataFile
from warmstart.errors import UsageError, did_you_mean
from warmstart.metrics.catalogue import get_metric
from warmstart.tasks.pairs import PAIRS
from warmstart.tasks.task import SPLITS, Split, Task, TaskDefinition
from warmstart.tasks.translation import TRANSLATION
from warmstart.tasks.wikisplit import WIKISPLIT

__all__ = ["TASKS", "DataFiles", "get_task_definition", "load_task"]

# One file, of which a validation split is held out, or a file for each split.
DataFiles = DataFile | Mapping[str, DataFile]

TASKS: Final[tuple[TaskDefinition, ...]] = (WIKISPLIT, TRANSLATION, PAIRS)

_LOGGER: Final = logging.getLogger(__name__)


def get_task_definition(name: str) -> TaskDefinition:
    """The task of that name, without data.

    Raises:
        UsageError: There is none.
    """
    by_name = {definition.name: definition for definition in TASKS}
    if name not in by_name:
        raise UsageError(f"there is no task {name!r}; {did_you_mean(name, by_name)}")
    return by_name[name]


def load_task(
    name: str,
    data: DataFiles,
    *,
    columns: ColumnMapping | None = None,
    max_source_length: int | None = None,
    max_target_length: int | None = None,
    metrics: Sequence[str] | None = None,
    limits: Mapping[str, int] | None = None,
    validation_size: int | None = None,
    seed: int = 0,
) -> Task:
    """A task with data, for example ``load_task("wikisplit", data="pairs.tsv")``.

    Args:
        name: A name in `TASKS`.
        data: A file of pairs, or parallel text files as a list of paths; or a mapping of
            ``train``, ``validation`` and ``test`` to such. Where there is a training but no
            validation file, validation examples are held out, and that is logged.
        columns: Which columns to take, see `warmstart.data.pairs.read_pairs`.
        max_source_length: Tokens; None is the task's own.
        max_target_length: Tokens, also the length that decoding stops at; None is the task's own.
        metrics: Names of the metrics to report; None is the task's own.
        limits: How many examples of a split to take, from its start.
        validation_size: Examples to hold out; None is a tenth, and at most 1000.
        seed: Chooses the examples held out.

    Raises:
        UsageError: A name, length, limit or size is not allowed.
        DataError: A file is not as it should be.
    """
    definition = _adjust(get_task_definition(name), max_source_length, max_target_length, metrics)
    files = dict(data) if isinstance(data, Mapping) else {"train": data}
    if not files:
        raise UsageError(f"data names no file; give one for at least one of {', '.join(SPLITS)}.")
    limits = {} if limits is None else limits
    _check_splits("data", files)
    _check_splits("limits", limits)
    for split, limit in limits.items():
        if limit < 1:
            raise UsageError(f"the limit of {split} is {limit}; it must be at least 1 example.")

    if "train" in files and "validation" not in files:
        # The limit of `train` comes after: what is held out is the same whatever the limits.
        examples = _read(definition, files, columns, {**limits, "train": None})
        examples |= _hold_out(examples["train"], validation_size, seed)
    elif validation_size is not None:
        raise UsageError(
            "validation_size is for data with a training and no validation file; leave it out, or "
            "use limits to take fewer examples."
        )
    else:
        examples = _read(definition, files, columns, limits)
    splits: dict[str, Split] = {
        split: Split(
            definition=definition, name=split, examples=examples[split][: limits.get(split)]
        )
        for split in SPLITS
        if split in examples
    }
    return Task(definition=definition, splits=splits)


def _read(
    definition: TaskDefinition,
    files: Mapping[str, DataFile],
    columns: ColumnMapping | None,
    limits: Mapping[str, int | None],
) -> dict[str, tuple[Example, ...]]:
    """The examples of each file, read no further than its limit."""
    return {
        split: tuple(islice(definition.read(file, columns), limits.get(split)))
        for split, file in files.items()
    }


def _hold_out(
    examples: tuple[Example, ...], size: int | None, seed: int
) -> dict[str, tuple[Example, ...]]:
    train, validation = hold_out(examples, size=size, seed=seed)
    _LOGGER.info(
        "no validation file: held out %d of the %d training examples (seed %d)",
        len(validation),
        len(examples),
        seed,
    )
    return {"train": train, "validation": validation}


def _adjust(
    definition: TaskDefinition,
    max_source_length: int | None,
    max_target_length: int | None,
    metrics: Sequence[str] | None,
) -> TaskDefinition:
    """The definition with what the caller wants otherwise."""
    if max_source_length is not None:
        _check_length("max_source_length", max_source_length)
        definition = replace(definition, max_source_length=max_source_length)
    if max_target_length is not None:
        _check_length("max_target_length", max_target_length)
        generation = replace(definition.generation, max_length=max_target_length)
        definition = replace(definition, max_target_length=max_target_length, generation=generation)
    if metrics is not None:
        if isinstance(metrics, str) or not metrics:
            raise UsageError(f"metrics is {metrics!r}; give a list with at least one name.")
        definition = replace(
            definition, metrics=tuple(get_metric(metric).name for metric in metrics)
        )
    return definition


def _check_length(option: str, length: int) -> None:
    if length < 2:
        raise UsageError(f"{option} is {length}; it counts special tokens and must be at least 2.")


def _check_splits(option: str, mapping: Mapping[str, object]) -> None:
    for split in mapping:
        if split not in SPLITS:
            raise UsageError(f"{option} has no split {split!r}; {did_you_mean(split, SPLITS)}")
