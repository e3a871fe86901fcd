"""Recipes: YAML files with a model to train, its data, and the training. Loads no torch.

A recipe has the sections `model`, `task` and `training`, and may have `generation` and
`evaluation`; the dataclasses of the sections are its schema. Relative paths are relative to the
current directory, not to the file. ``${NAME}`` in a text is the environment variable of that name.
"""

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from warmstart.composition.composition_options import CompositionOptions
from warmstart.composition.variants import VariantOptions
from warmstart.errors import UsageError, did_you_mean
from warmstart.evaluation.evaluation_options import ReferenceText
from warmstart.generation.generation_config import GenerationConfig
from warmstart.recipe.sections import check_names, read_changes, read_section
from warmstart.recipe.yaml_settings import Tree, read_settings
from warmstart.tasks.data_options import DataOptions, MetricNames
from warmstart.training.train_config import TrainConfig
from warmstart.validation import validate

__all__ = ["EvaluationSettings", "ModelSource", "Pretrained", "Recipe", "load_recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """`model`, third form: a composed model to train further."""

    pretrained: str
    """A model folder or hub id."""


ModelSource: TypeAlias = CompositionOptions | VariantOptions | Pretrained
_FORMS: Mapping[str, type[ModelSource]] = {
    "pretrained": Pretrained,
    "variant": VariantOptions,
    "encoder": CompositionOptions,
    "decoder": CompositionOptions,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """`evaluation`: scores of the validation split after training."""

    reference_text: ReferenceText = "as_given"
    """See `EvaluationOptions`."""

    metrics: MetricNames | None = None
    """Names of the metrics; None: the task's."""

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A complete run.

    Attributes:
        model: the model to train.
        task: its data.
        training: settings of the run, with the output folder.
        generation: fields of `GenerationConfig` that differ from the task's.
        evaluation: how to score the validation split at the end; None: not at all.
    """

    model: ModelSource
    task: DataOptions
    training: TrainConfig
    generation: Mapping[str, Any] = field(default_factory=dict)
    evaluation: EvaluationSettings | None = None

    def __post_init__(self) -> None:
        """Checks what involves several sections."""
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
        """The recipe with every default; `load_recipe` reads an equal one back."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return yaml.safe_dump(_plain(values), sort_keys=False, allow_unicode=True, width=100)


def load_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and checks all of it before anything that it names is loaded.

    Args:
        path: the YAML file.
        overrides: changes such as ``"training.max_steps=100"``; the value is YAML.

    Raises:
        UsageError: with every problem at once.
    """
    path = Path(path)
    tree = read_settings(path, overrides)
    problems: list[str] = []
    sections = _sections(tree, problems)
    if not problems:
        try:
            return Recipe(**sections)
        except UsageError as error:
            problems.append(str(error))
    problems = [problem.rstrip(".") for problem in problems]
    if len(problems) == 1:
        raise UsageError(f"{path}: {problems[0]}.")
    raise UsageError(f"{path} has {len(problems)} problems: {'; '.join(problems)}.")


def _sections(tree: Tree, problems: list[str]) -> dict[str, Any]:
    check_names(tree, [field.name for field in fields(Recipe)], "the recipe", problems)
    kinds: dict[str, type] = {
        "model": _form(tree.get("model")),
        "task": DataOptions,
        "training": TrainConfig,
        "evaluation": EvaluationSettings,
    }
    sections: dict[str, Any] = {}
    for name, kind in kinds.items():
        if name in tree:
            sections[name] = read_section(kind, tree[name], name, problems)
        elif name != "evaluation":
            problems.append(f"{name} is missing")
    if "generation" in tree:
        generation = tree["generation"]
        sections["generation"] = read_changes(GenerationConfig, generation, "generation", problems)
    return sections


def _form(values: object) -> type[ModelSource]:
    """The form of `model`, by a key that only it has, or else by a key that is nearly one."""
    keys = [key for key in values if isinstance(key, str)] if isinstance(values, Mapping) else []
    near = [difflib.get_close_matches(key, _FORMS, n=1) for key in keys]
    for key in (*keys, *(match[0] for match in near if match)):
        if key in _FORMS:
            return _FORMS[key]
    return CompositionOptions


def _plain(value: Any) -> Any:
    """Values that YAML has."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value
