"""Settings of a task's data: which files, which columns, how much of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen

from warmstart.data.columns import ColumnMapping, Columns
from warmstart.data.source import DataFiles, is_part, parse_source
from warmstart.data.splits import SPLITS, TRAIN, SplitName
from warmstart.errors import UsageError, did_you_mean
from warmstart.metrics.all_metrics import get_metric
from warmstart.tasks.all_tasks import get_task_definition
from warmstart.tasks.task import TaskDefinition
from warmstart.validation import Check, Hint, validate

__all__ = ["DataOptions", "MetricNames"]


def _check_data(data: object) -> object:
    if data is None:
        return data
    files = data if isinstance(data, Mapping) and not is_part(data) else {TRAIN: data}
    for split, file in files.items():
        if split not in SPLITS:
            raise UsageError(f"data has no split {split!r}; {did_you_mean(str(split), SPLITS)}")
        try:
            parse_source(file)
        except UsageError as error:
            raise UsageError(f"{split}: {error}") from None
    if not files:
        raise UsageError(f"data names no file; give one for at least one of {', '.join(SPLITS)}.")
    return data


def _check_columns(columns: object) -> object:
    if columns is None:
        return columns
    if not isinstance(columns, Mapping):
        raise UsageError(f"{columns!r} is not a mapping; give {{source: COLUMN, target: COLUMN}}.")
    Columns.parse(columns)
    return columns


_TaskName = Annotated[str, Check(lambda name: get_task_definition(str(name)).name)]
_MetricName = Annotated[str, Check(lambda name: get_metric(str(name)).name)]
MetricNames = Annotated[Sequence[_MetricName], MinLen(1)]
_Length = Annotated[int, Ge(2), Hint("It counts special tokens")]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOptions:
    """Settings of `load_task`, and the section `task` of a recipe.

    Raises:
        UsageError: if a name, length, limit or size is not allowed, or the task needs data.
    """

    name: _TaskName = field(kw_only=False)
    """A task, or one with a variant after it: ``wmt14/de-en``."""

    data: Annotated[DataFiles | None, Check(_check_data)] = field(default=None, kw_only=False)
    """A file of pairs, a list of parallel text files, or several files to mix; a mapping of
    ``train``, ``validation`` and ``test`` to such; a folder with files of these names; or a data
    set of the hub, ``hub:NAME`` or ``hub:NAME:CONFIG``. None: the task's own data set on the hub.
    Where there is training but no validation data, validation examples are held out."""

    columns: Annotated[ColumnMapping | None, Check(_check_columns)] = None
    """Columns to take, such as ``{source: complex, target: simple}``; None: well-known names."""

    limits: Mapping[SplitName, Annotated[int, Ge(1)]] = field(default_factory=dict)
    """Number of examples to take of a split, from its start."""

    fraction: Annotated[float, Gt(0), Le(1), Hint("0.1 is 10 %")] = 1
    """Part of the training examples to draw, before the limit applies. Validation and test are the
    same for every fraction."""

    max_source_length: _Length | None = None
    """Tokens; longer sources are truncated. None: the task's own."""

    max_target_length: _Length | None = None
    """Tokens; longer targets are truncated, and decoding stops there. None: the task's own."""

    metrics: MetricNames | None = None
    """Names of the metrics to report; None: the task's own."""

    skip_empty: bool | None = None
    """Skips and counts rows with an empty text; otherwise they are an error. None: in training data
    only, as other data may have outputs that belong to its rows."""

    drop_duplicates: bool = False
    """Drops training examples whose source and targets occurred before, ahead of any limit."""

    validation_size: Annotated[int, Ge(1)] | None = None
    """Number of examples to hold out; None: a tenth, and at most 1000."""

    seed: int = 0
    """Chooses the examples held out, those drawn, and the order of files that are mixed."""

    def __post_init__(self) -> None:
        validate(self)
        if self.data is None and get_task_definition(self.name).origin.hub is None:
            raise UsageError(
                f"The task {self.name} has no data of its own; give data=FILE, a folder, or a "
                "data set of the hub as hub:NAME."
            )

    def definition(self) -> TaskDefinition:
        """The task without data, with the lengths and metrics of these options."""
        definition = get_task_definition(self.name)
        if self.max_source_length is not None:
            definition = replace(definition, max_source_length=self.max_source_length)
        if self.max_target_length is not None:
            definition = definition.with_target_length(self.max_target_length)
        if self.metrics is not None:
            definition = replace(definition, metrics=tuple(self.metrics))
        return definition
