"""A task with data, from its options."""

import logging
from collections.abc import Mapping, Sequence

from warmstart.data.duplicates import without_duplicates
from warmstart.data.example import Example
from warmstart.data.hold_out import hold_out
from warmstart.data.mix import draw
from warmstart.data.read import split_sources
from warmstart.data.skipped_rows import SkippedRows
from warmstart.data.source import DataSource
from warmstart.data.splits import SPLITS, TRAIN, VALIDATION
from warmstart.data.stored import keep_examples
from warmstart.errors import UsageError
from warmstart.keywords import options
from warmstart.tasks.data_options import DataOptions
from warmstart.tasks.reading import read_split
from warmstart.tasks.task import Split, Task, TaskDefinition

__all__ = ["load_task", "task_of_options"]

logger = logging.getLogger(__name__)


@options(DataOptions)
def load_task(data_options: DataOptions) -> Task:
    """A task with data, for example ``load_task("wikisplit", data="pairs.tsv")``.

    Args:
        data_options: its fields, as keywords; ``name`` and ``data`` may be positional.

    Raises:
        UsageError: if a name, length, limit or size is not allowed.
        DataError: if a file is damaged or lacks a column, or the hub cannot be reached.
    """
    return task_of_options(data_options)


def task_of_options(options: DataOptions) -> Task:
    """As `load_task`, from an object."""
    definition = options.definition()
    sources = _sources(definition, options)
    held_out = TRAIN in sources and VALIDATION not in sources
    if options.validation_size is not None and not held_out:
        raise UsageError(
            "validation_size is for data with a training and no validation file; omit it, or use "
            "limits to take fewer examples."
        )
    skipped = {
        split: SkippedRows()
        for split in sources
        if options.skip_empty or (options.skip_empty is None and split == TRAIN)
    }
    examples = _read(definition, sources, options, skipped, held_out=held_out)
    if options.drop_duplicates and TRAIN in examples:
        examples[TRAIN] = _without_duplicates(examples[TRAIN])
    if held_out:
        examples |= _hold_out(examples[TRAIN], options.validation_size, options.seed)
        if options.fraction < 1:
            drawn = draw(examples[TRAIN], options.fraction, seed=options.seed)
            examples[TRAIN] = keep_examples(drawn)
    splits: dict[str, Split] = {
        split: Split(
            definition=definition,
            name=split,
            examples=examples[split][: options.limits.get(split)],
            empty=skipped[split].rows if split in skipped else 0,
        )
        for split in SPLITS
        if split in examples
    }
    return Task(definition=definition, splits=splits, data=sources)


def _sources(definition: TaskDefinition, options: DataOptions) -> dict[str, DataSource]:
    """The data of each split."""
    if options.data is not None:
        return split_sources(options.data, definition.origin)
    hub = definition.origin.hub
    assert hub is not None  # checked by the options
    return {ours: {"file": str(hub), "split": theirs} for ours, theirs in hub.splits.items()}


def _read(
    definition: TaskDefinition,
    sources: Mapping[str, DataSource],
    options: DataOptions,
    skipped: Mapping[str, SkippedRows],
    *,
    held_out: bool,
) -> dict[str, Sequence[Example]]:
    """The examples of each split, read no further than its limit."""
    limits: dict[str, int | None] = dict(options.limits.items())
    if held_out or options.drop_duplicates:
        # The limit of `train` applies later: what is held out is the same for every limit.
        limits[TRAIN] = None
    return {
        split: read_split(
            definition,
            source,
            options.columns,
            split=split,
            fraction=options.fraction if split == TRAIN and not held_out else 1,
            limit=limits.get(split),
            seed=options.seed,
            skipped=skipped.get(split),
        )
        for split, source in sources.items()
    }


def _without_duplicates(examples: Sequence[Example]) -> Sequence[Example]:
    kept = without_duplicates(examples)
    dropped = len(examples) - len(kept)
    logger.info("train: dropped %d duplicates of %d examples", dropped, len(examples))
    return kept


def _hold_out(
    examples: Sequence[Example], size: int | None, seed: int
) -> dict[str, Sequence[Example]]:
    train, validation = hold_out(examples, size=size, seed=seed)
    logger.info(
        "no validation file: held out %d of the %d training examples (seed %d)",
        len(validation),
        len(examples),
        seed,
    )
    return {TRAIN: train, VALIDATION: validation}
