"""Tasks: their definitions, and their data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from warmstart.data.columns import ColumnMapping
from warmstart.data.example import Example
from warmstart.data.origin import Origin
from warmstart.data.read import read_examples
from warmstart.data.read_pairs import Examples
from warmstart.data.skipped_rows import SkippedRows
from warmstart.data.source import DataSource
from warmstart.data.splits import TRAIN, VALIDATION
from warmstart.errors import UsageError, did_you_mean
from warmstart.generation.generation_config import GenerationConfig

__all__ = ["Split", "Task", "TaskDefinition"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """Properties of a task that all of its data sets share."""

    name: str
    description: str  # one line
    max_source_length: int  # tokens, with special tokens; longer sources are truncated
    max_target_length: int  # tokens, with start and end
    metrics: tuple[str, ...]  # names in `METRICS`
    tokenize: str | None = None  # how metrics split texts; None: each metric's default
    origin: Origin = field(default_factory=Origin)  # source and properties of its data
    prepare: Callable[[Example], Example] | None = None  # applied to each example
    # Variants, named after a slash as in "wmt14/de-en", and the function from name to task.
    variants: tuple[str, ...] = ()  # those to list; there may be more
    variant: Callable[[str], "TaskDefinition"] | None = None  # UsageError if unknown
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    # Published figures: variant -> metric -> value, 0 to 100. With several test sets, the name of
    # the metric is followed by a space and the name of the set.
    published: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict, hash=False, repr=False
    )

    def with_target_length(self, length: int) -> "TaskDefinition":
        """The same task with another target length, which also limits decoding.

        Args:
            length: tokens, with start and end. A longer minimum length of outputs is dropped.
        """
        least = self.generation.min_length
        generation = replace(
            self.generation, max_length=length, min_length=least if least <= length else 0
        )
        return replace(self, max_target_length=length, generation=generation)

    def read(
        self,
        data: DataSource,
        columns: ColumnMapping | None = None,
        *,
        split: str = TRAIN,
        seed: int = 0,
        skipped: SkippedRows | None = None,
    ) -> Examples:
        """Examples of one split, prepared for this task; see `read_examples`."""
        examples = read_examples(
            data, columns, origin=self.origin, split=split, seed=seed, skipped=skipped
        )
        prepare = self.prepare
        return examples if prepare is None else Examples(lambda: map(prepare, examples))


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Examples of a task, with the settings to train or evaluate on them."""

    definition: TaskDefinition
    name: str  # train | validation | test
    examples: Sequence[Example] = field(repr=False)  # at least one; in memory or on disk
    empty: int = 0  # rows skipped because a text in them is empty

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
        """How metrics split texts, for `get_metric`; None: each metric's default."""
        return self.definition.tokenize

    @property
    def generation(self) -> GenerationConfig:
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
    # The data of each split that was not held out; {}: unknown.
    data: Mapping[str, DataSource] = field(default_factory=dict, hash=False, repr=False)

    @property
    def name(self) -> str:
        """The definition's name."""
        return self.definition.name

    def split(self, name: str) -> Split:
        """One split of the data.

        Raises:
            UsageError: if the data has no such split.
        """
        if name not in self.splits:
            raise UsageError(
                f"This data has no split {name!r}; {did_you_mean(name, self.splits)} "
                f'Give others as files: data={{"{TRAIN}": ..., "{VALIDATION}": ...}}.'
            )
        return self.splits[name]
