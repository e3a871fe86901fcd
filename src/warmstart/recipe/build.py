"""The model and the data of a recipe."""

from dataclasses import replace
from typing import TYPE_CHECKING

from warmstart.composition.composition_options import CompositionOptions
from warmstart.composition.variants import VariantOptions
from warmstart.generation.generation_config import GenerationConfig
from warmstart.recipe.schema import ModelSource, Pretrained, Recipe
from warmstart.tasks.load import task_of_options
from warmstart.tasks.task import Task

if TYPE_CHECKING:
    from warmstart.seq2seq import Seq2Seq

__all__ = ["build_model", "build_task"]


def build_model(source: ModelSource, *, weights: bool = True) -> "Seq2Seq":
    """Composes or loads the model of a recipe. Loads torch.

    Args:
        source: the recipe's section `model`.
        weights: whether to read them; without, the model is on the meta device.

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
    """Reads the data of a recipe, with its decoding settings.

    Raises:
        DataError: if a file is damaged or lacks a column.
        UsageError: if the options do not fit the data.
    """
    task = task_of_options(recipe.task)
    generation: GenerationConfig = replace(task.definition.generation, **recipe.generation)
    definition = replace(task.definition, generation=generation)
    splits = {name: replace(split, definition=definition) for name, split in task.splits.items()}
    return replace(task, definition=definition, splits=splits)
