"""Recipes: YAML files that say what to compose, what to train it on, and how. Loads no torch.

A recipe has the sections `model`, `task` and `training`, and may have `generation` and
`evaluation`; the dataclasses below are its schema. Relative paths in it are relative to the current
directory, not to the file. ``${NAME}`` in a text is the environment variable of that name.
"""

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import yaml
from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    TypeAdapter,
    WrapValidator,
)

from warmstart.composition.composition_options import CompositionOptions
from warmstart.composition.variants import VariantOptions
from warmstart.data.columns import ColumnMapping, Columns
from warmstart.data.source import DataFiles, is_part, parse_source
from warmstart.data.splits import SPLITS
from warmstart.errors import UsageError, did_you_mean
from warmstart.generation.config import GenerationConfig
from warmstart.metrics.all_metrics import get_metric
from warmstart.recipe.yaml_settings import check_settings, read_settings
from warmstart.tasks.all_tasks import get_task_definition
from warmstart.tasks.load import load_task
from warmstart.tasks.task import Task, TaskDefinition
from warmstart.training.config import Lora, TrainConfig
from warmstart.validation import Changes

if TYPE_CHECKING:
    from warmstart.seq2seq import Seq2Seq

__all__ = [
    "EvaluationSettings",
    "Pretrained",
    "Recipe",
    "TaskData",
    "build_model",
    "build_task",
    "load_recipe",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """`model`, third form: a composed model, to be trained on."""

    pretrained: str  # a model folder or hub id


ModelSource: TypeAlias = CompositionOptions | VariantOptions | Pretrained
_FORMS: Mapping[str, type[ModelSource]] = {
    "pretrained": Pretrained,
    "variant": VariantOptions,
    "encoder": CompositionOptions,
    "decoder": CompositionOptions,
}


def _form(value: object) -> str:
    """The name of the form of `model` that a key tells, or else a key that is nearly one."""
    keys = [key for key in value if isinstance(key, str)] if isinstance(value, Mapping) else []
    near = [difflib.get_close_matches(key, _FORMS, n=1) for key in keys]
    for key in (*keys, *(match[0] for match in near if match)):
        if key in _FORMS:
            return _FORMS[key].__name__
    return CompositionOptions.__name__


def _checked(value: Any, check: Any) -> Any:
    """Calls `check`, a usage error of which becomes one problem among others."""
    try:
        return check(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


def _data(value: object) -> DataFiles | None:
    if value is None:
        return None
    files = value if isinstance(value, Mapping) and not is_part(value) else {"train": value}
    for split, file in files.items():
        if split not in SPLITS:
            raise UsageError(f"there is no split '{split}'; {did_you_mean(str(split), SPLITS)}")
        try:
            parse_source(file)
        except UsageError as error:
            raise UsageError(f"{split}: {error}") from None
    if not files:
        raise UsageError(f"it names no file; give one for at least one of {', '.join(SPLITS)}.")
    return value  # type: ignore[return-value]  # checked above


def _columns(value: object) -> ColumnMapping | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise UsageError(f"{value!r} is no mapping; give {{source: COLUMN, target: COLUMN}}.")
    Columns.parse(value)
    return value


def _task_name(value: object) -> str:
    return get_task_definition(str(value)).name


def _metric_name(value: object) -> str:
    return get_metric(str(value)).name


_Metrics = Annotated[
    Sequence[Annotated[str, PlainValidator(lambda value: _checked(value, _metric_name))]],
    Field(min_length=1),
]
_Length = Annotated[int, Field(ge=2)]  # tokens, with special tokens
_Count = Annotated[int, Field(ge=1)]  # examples


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskData:
    """`task`: a task by name and its files, see `load_task`."""

    name: Annotated[str, PlainValidator(lambda value: _checked(value, _task_name))]
    data: Annotated[DataFiles | None, PlainValidator(lambda value: _checked(value, _data))] = (
        None  # None: the task's own data set on the hub
    )
    columns: Annotated[
        ColumnMapping | None, PlainValidator(lambda value: _checked(value, _columns))
    ] = None
    limits: Mapping[Literal["train", "validation", "test"], _Count] = field(default_factory=dict)
    fraction: Annotated[float, Field(gt=0, le=1)] = 1  # of the training examples, drawn by seed
    max_source_length: _Length | None = None  # tokens; None: the task's own
    max_target_length: _Length | None = None  # tokens; None: the task's own
    metrics: _Metrics | None = None  # None: the task's own
    skip_empty: bool | None = None  # leave out rows with an empty text; None: in train only
    drop_duplicates: bool = False  # leave out training examples that stood before
    validation_size: _Count | None = None  # examples held out; None: a tenth, at most 1000
    seed: int = 0  # chooses the examples held out and drawn, and the order of mixed files

    def __post_init__(self) -> None:
        if self.data is None and get_task_definition(self.name).origin.hub is None:
            raise ValueError(
                f"the task {self.name} has no data of its own; add data: FILE, a folder, or "
                "hub:NAME"
            )

    def definition(self) -> TaskDefinition:
        """The task without data, with this section's lengths and metrics."""
        definition = get_task_definition(self.name)
        if self.max_target_length is not None:
            definition = definition.with_target_length(self.max_target_length)
        if self.metrics is not None:
            definition = replace(definition, metrics=tuple(self.metrics))
        return definition


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """`evaluation`: present where the validation split is to be scored after training."""

    reference_text: Literal["as_given", "round_trip"] = "as_given"  # see `evaluate`
    metrics: _Metrics | None = None  # None: the task's


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole run.

    Attributes:
        model: what to train.
        task: what to train it on.
        training: how, with the output folder.
        generation: decoding settings that differ from the task's.
        evaluation: how to score the validation split in the end; None: not at all.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    model: Annotated[
        Annotated[
            CompositionOptions,
            WrapValidator(lambda v, check: _checked(v, check)),
            Tag("CompositionOptions"),
        ]
        | Annotated[
            VariantOptions,
            WrapValidator(lambda v, check: _checked(v, check)),
            Tag("VariantOptions"),
        ]
        | Annotated[Pretrained, Tag("Pretrained")],
        Discriminator(_form),
    ]
    task: TaskData
    training: Annotated[TrainConfig, WrapValidator(lambda v, check: _checked(v, check))]
    generation: Annotated[Mapping[str, Any], Changes(GenerationConfig)] = field(
        default_factory=dict
    )
    evaluation: EvaluationSettings | None = None

    def __post_init__(self) -> None:
        """Checks what no section can check alone."""
        definition = self.task.definition()
        try:
            replace(definition.generation, **self.generation)
        except UsageError as error:
            raise UsageError(f"generation: {error}") from None
        allowed = ["loss", *definition.metrics]
        if self.training.best_metric not in allowed:
            raise UsageError(
                f"training.best_metric is '{self.training.best_metric}', which the task does not "
                f"measure; {did_you_mean(self.training.best_metric, allowed)}"
            )

    def to_yaml(self) -> str:
        """The recipe with every default spelled out; `load_recipe` reads it back as it is."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return yaml.safe_dump(_plain(values), sort_keys=False, allow_unicode=True, width=100)


def load_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and checks the whole of it, before anything that it names is loaded.

    Args:
        path: the YAML file.
        overrides: changes such as ``"training.max_steps=100"``; the value is YAML.

    Raises:
        UsageError: with every problem at once.
    """
    path = Path(path)
    return check_settings(_adapter(), read_settings(path, overrides), path, _keys())


@cache
def _adapter() -> TypeAdapter[Recipe]:
    return TypeAdapter(Recipe)


def _keys() -> dict[str, list[str]]:
    """The keys of each section, by its place in the schema."""
    sections: dict[str, Any] = {
        "": Recipe,
        "task": TaskData,
        "training": TrainConfig,
        "training.lora": Lora,
        "generation": GenerationConfig,
        "evaluation": EvaluationSettings,
    }
    sections |= {f"model.{form.__name__}": form for form in _FORMS.values()}
    return {place: [key.name for key in fields(section)] for place, section in sections.items()}


def _plain(value: Any) -> Any:
    """Values that YAML has."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value


def build_model(source: ModelSource, *, weights: bool = True) -> "Seq2Seq":
    """Composes or loads the model of a recipe. Loads torch.

    Args:
        source: the recipe's section `model`.
        weights: False: reads none, and leaves the model on the meta device.

    Raises:
        WarmstartError: as `Seq2Seq`'s own constructors.
    """
    from warmstart.composition.blueprint import of_checkpoints, of_variant
    from warmstart.seq2seq import Seq2Seq

    match source:
        case CompositionOptions():
            blueprint = of_checkpoints(source, headers_only=not weights)
        case VariantOptions():
            blueprint = of_variant(source, headers_only=not weights)
        case Pretrained():
            return Seq2Seq.from_pretrained(source.pretrained, weights=weights)
    return Seq2Seq.from_blueprint(blueprint, seed=source.seed, weights=weights)


def build_task(recipe: Recipe) -> Task:
    """Reads a recipe's data, with its decoding settings.

    Raises:
        DataError: if a file is not as it should be.
        UsageError: if what the recipe asks for does not fit the data.
    """
    source = recipe.task
    task = load_task(
        source.name,
        source.data,
        columns=source.columns,
        max_source_length=source.max_source_length,
        max_target_length=source.max_target_length,
        metrics=source.metrics,
        limits=dict(source.limits.items()),
        fraction=source.fraction,
        skip_empty=source.skip_empty,
        drop_duplicates=source.drop_duplicates,
        validation_size=source.validation_size,
        seed=source.seed,
    )
    generation: GenerationConfig = replace(task.definition.generation, **recipe.generation)
    definition = replace(task.definition, generation=generation)
    splits = {name: replace(split, definition=definition) for name, split in task.splits.items()}
    return replace(task, definition=definition, splits=splits)
