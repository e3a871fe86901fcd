"""What a task is, and a task with its data."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from warmstart.data.columns import ColumnMapping
from warmstart.data.example import Example
from warmstart.data.pairs import DataFile
from warmstart.errors import UsageError, did_you_mean
from warmstart.generation.options import GenerationOptions

__all__ = ["SPLITS", "Split", "Task", "TaskDefinition"]

SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """What is the same for every data set of a task."""

    name: str
    description: str  # one line
    read: Callable[[DataFile, ColumnMapping | None], Iterator[Example]]  # its files to examples
    max_source_length: int  # tokens, with special tokens; longer sources are truncated
    max_target_length: int  # tokens, with start and end
    metrics: tuple[str, ...]  # names in `metrics.catalogue.METRICS`
    tokenize: str | None = None  # how metrics split texts; None is each metric's default
    generation: GenerationOptions = field(default_factory=GenerationOptions)
    # Reported figures: variant -> metric -> value, 0 to 100. Where a figure is of one of several
    # test sets, the metric's name is followed by a space and the set's.
    published: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict, hash=False, repr=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Examples of a task, with what is needed to train or evaluate on them."""

    definition: TaskDefinition
    name: str  # train | validation | test
    examples: tuple[Example, ...] = field(repr=False)  # at least one

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def sources(self) -> tuple[str, ...]:
        """The source text of each example."""
        return tuple(example.source for example in self.examples)

    @property
    def references(self) -> tuple[tuple[str, ...], ...]:
        """The target texts of each example, one or more."""
        return tuple(example.targets for example in self.examples)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics to report, for `get_metric`."""
        return self.definition.metrics

    @property
    def tokenize(self) -> str | None:
        """How metrics split texts, for `get_metric`; None is each metric's default."""
        return self.definition.tokenize

    @property
    def generation(self) -> GenerationOptions:
        """How outputs are decoded."""
        return self.definition.generation

    @property
    def max_source_length(self) -> int:
        """In tokens."""
        return self.definition.max_source_length

    @property
    def max_target_length(self) -> int:
        """In tokens."""
        return self.definition.max_target_length


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task's definition together with data."""

    definition: TaskDefinition
    splits: Mapping[str, Split] = field(hash=False)

    @property
    def name(self) -> str:
        """The definition's name."""
        return self.definition.name

    def split(self, name: str) -> Split:
        """One part of the data.

        Raises:
            UsageError: The data has no such part.
        """
        if name not in self.splits:
            raise UsageError(
                f"this data has no split {name!r}; {did_you_mean(name, self.splits)} "
                f'Others are given as files: data={{"{SPLITS[0]}": ..., "{SPLITS[1]}": ...}}.'
            )
        return self.splits[name]
