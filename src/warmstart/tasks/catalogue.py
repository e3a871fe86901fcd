"""Every task by name, and a task with data."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from warmstart.data.columns import ColumnMapping
from warmstart.data.duplicates import without_duplicates
from warmstart.data.example import Example
from warmstart.data.hold_out import hold_out
from warmstart.data.mix import draw
from warmstart.data.read import split_sources
from warmstart.data.skipped_rows import LeftOut
from warmstart.data.source import DataSource
from warmstart.data.stored import keep_examples
from warmstart.errors import UsageError, did_you_mean
from warmstart.metrics.catalogue import get_metric
from warmstart.tasks.cnn_dailymail import CNN_DAILYMAIL
from warmstart.tasks.correction import CORRECTION
from warmstart.tasks.discofuse import DISCOFUSE
from warmstart.tasks.gigaword import GIGAWORD
from warmstart.tasks.pairs import PAIRS
from warmstart.tasks.reading import read_split
from warmstart.tasks.simplification import SIMPLIFICATION
from warmstart.tasks.summarization import SUMMARIZATION
from warmstart.tasks.task import SPLITS, Split, Task, TaskDefinition
from warmstart.tasks.translation import TRANSLATION
from warmstart.tasks.wikisplit import WIKISPLIT
from warmstart.tasks.wmt14 import WMT14
from warmstart.tasks.xsum import XSUM

__all__ = ["TASKS", "DataFiles", "get_task_definition", "load_task"]

# Data to train on, of which a validation split is held out, or data for each split.
DataFiles: TypeAlias = DataSource | Mapping[str, DataSource]

TASKS: Final[tuple[TaskDefinition, ...]] = (
    DISCOFUSE,
    WIKISPLIT,
    WMT14,
    GIGAWORD,
    CNN_DAILYMAIL,
    XSUM,
    PAIRS,
    TRANSLATION,
    SUMMARIZATION,
    SIMPLIFICATION,
    CORRECTION,
)

_LOGGER: Final = logging.getLogger(__name__)


def get_task_definition(name: str) -> TaskDefinition:
    """The task of that name, without data.

    Args:
        name: A name in `TASKS`, or one with a variant behind it: ``"wmt14/de-en"``.

    Raises:
        UsageError: There is none.
    """
    by_name = {definition.name: definition for definition in TASKS}
    base, slash, variant = name.partition("/")
    if base not in by_name:
        raise UsageError(f"there is no task {base!r}; {did_you_mean(base, by_name)}")
    definition = by_name[base]
    if not slash:
        return definition
    if definition.variant is None:
        raise UsageError(f"the task {base} has no variants such as {variant!r}; leave it out.")
    return definition.variant(variant)


def load_task(
    name: str,
    data: DataFiles | None = None,
    *,
    columns: ColumnMapping | None = None,
    max_source_length: int | None = None,
    max_target_length: int | None = None,
    metrics: Sequence[str] | None = None,
    limits: Mapping[str, int] | None = None,
    fraction: float = 1,
    skip_empty: bool | None = None,
    drop_duplicates: bool = False,
    validation_size: int | None = None,
    seed: int = 0,
) -> Task:
    """A task with data, for example ``load_task("wikisplit", data="pairs.tsv")``.

    Args:
        name: A name in `TASKS`, or one with a variant behind it: ``"wmt14/de-en"``.
        data: A file of pairs, a list of parallel text files, or several files to mix; a mapping of
            ``train``, ``validation`` and ``test`` to such; a folder with files of these names; or
            a data set of the hub as ``"hub:NAME"`` or ``"hub:NAME:CONFIG"``. What exactly is in
            `warmstart.data.read.read_examples`. None is the task's own data set on the hub. Where
            there is training but no validation data, validation examples are held out, and that
            is logged.
        columns: Which columns to take, see `warmstart.data.pairs.read_pairs`.
        max_source_length: Tokens; None is the task's own.
        max_target_length: Tokens, also the length that decoding stops at; None is the task's own.
        metrics: Names of the metrics to report; None is the task's own.
        limits: How many examples of a split to take, from its start.
        fraction: Part of the training examples to draw, before its limit counts; see `draw`.
            Validation and test are the same whatever it is.
        skip_empty: Whether rows with an empty text are left out, counted and told, or else an
            error; None: they are left out of training data only, as other data may have outputs
            that belong to its rows.
        drop_duplicates: Whether training examples whose source and targets stood before are left
            out, before any limit counts.
        validation_size: Examples to hold out; None is a tenth, and at most 1000.
        seed: Chooses the examples held out, those drawn, and the order of files that are mixed.

    Raises:
        UsageError: A name, length, limit or size is not allowed.
        DataError: A file is not as it should be, or the hub cannot be reached.
    """
    definition = _adjust(get_task_definition(name), max_source_length, max_target_length, metrics)
    if not 0 < fraction <= 1:
        raise UsageError(f"fraction is {fraction}; it must be above 0, and 1 at most: 0.1 is 10 %.")
    files = _sources(definition, data)
    if not files:
        raise UsageError(f"data names no file; give one for at least one of {', '.join(SPLITS)}.")
    limits = {} if limits is None else limits
    _check_splits("data", files)
    _check_splits("limits", limits)
    for split, limit in limits.items():
        if limit < 1:
            raise UsageError(f"the limit of {split} is {limit}; it must be at least 1 example.")

    left_out = {
        split: LeftOut()
        for split in files
        if skip_empty or (skip_empty is None and split == "train")
    }
    if "train" in files and "validation" not in files:
        # The limit of `train` comes after: what is held out is the same whatever the limits.
        unlimited = {**limits, "train": None}
        examples = _read(definition, files, columns, unlimited, left_out, seed=seed)
        if drop_duplicates:
            examples["train"] = _without_duplicates(examples["train"])
        examples |= _hold_out(examples["train"], validation_size, seed)
        if fraction < 1:
            examples["train"] = keep_examples(draw(examples["train"], fraction, seed=seed))
    elif validation_size is not None:
        raise UsageError(
            "validation_size is for data with a training and no validation file; leave it out, or "
            "use limits to take fewer examples."
        )
    else:
        wanted = {**limits, "train": None} if drop_duplicates else limits
        examples = _read(definition, files, columns, wanted, left_out, fraction=fraction, seed=seed)
        if drop_duplicates and "train" in examples:
            examples["train"] = _without_duplicates(examples["train"])
    splits: dict[str, Split] = {
        split: Split(
            definition=definition,
            name=split,
            examples=examples[split][: limits.get(split)],
            empty=left_out[split].rows if split in left_out else 0,
        )
        for split in SPLITS
        if split in examples
    }
    return Task(definition=definition, splits=splits, data=files)


def _sources(definition: TaskDefinition, data: DataFiles | None) -> dict[str, DataSource]:
    """The data of each split."""
    if data is not None:
        return split_sources(data, definition.origin)
    hub = definition.origin.hub
    if hub is None:
        raise UsageError(
            f"the task {definition.name} has no data of its own; give data=FILE, a folder, or a "
            "data set of the hub as hub:NAME."
        )
    return {ours: {"file": str(hub), "split": theirs} for ours, theirs in hub.splits.items()}


def _read(
    definition: TaskDefinition,
    files: Mapping[str, DataSource],
    columns: ColumnMapping | None,
    limits: Mapping[str, int | None],
    left_out: Mapping[str, LeftOut],
    *,
    fraction: float = 1,
    seed: int,
) -> dict[str, Sequence[Example]]:
    """The examples of each split, read no further than its limit."""
    return {
        split: read_split(
            definition,
            file,
            columns,
            split=split,
            fraction=fraction if split == "train" else 1,
            limit=limits.get(split),
            seed=seed,
            left_out=left_out.get(split),
        )
        for split, file in files.items()
    }


def _without_duplicates(examples: Sequence[Example]) -> Sequence[Example]:
    kept = without_duplicates(examples)
    dropped = len(examples) - len(kept)
    _LOGGER.info("train: left out %d duplicates of %d examples", dropped, len(examples))
    return kept


def _hold_out(
    examples: Sequence[Example], size: int | None, seed: int
) -> dict[str, Sequence[Example]]:
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
        definition = definition.with_target_length(max_target_length)
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
