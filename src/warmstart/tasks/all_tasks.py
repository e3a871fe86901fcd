"""Every task by name."""

from typing import Final

from warmstart.errors import UsageError, did_you_mean
from warmstart.tasks.cnn_dailymail import CNN_DAILYMAIL
from warmstart.tasks.correction import CORRECTION
from warmstart.tasks.discofuse import DISCOFUSE
from warmstart.tasks.gigaword import GIGAWORD
from warmstart.tasks.pairs import PAIRS
from warmstart.tasks.simplification import SIMPLIFICATION
from warmstart.tasks.summarization import SUMMARIZATION
from warmstart.tasks.task import TaskDefinition
from warmstart.tasks.translation import TRANSLATION
from warmstart.tasks.wikisplit import WIKISPLIT
from warmstart.tasks.wmt14 import WMT14
from warmstart.tasks.xsum import XSUM

__all__ = ["TASKS", "get_task_definition"]

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


def get_task_definition(name: str) -> TaskDefinition:
    """The task of that name, without data.

    Args:
        name: a name in `TASKS`, or one with a variant after it: ``"wmt14/de-en"``.

    Raises:
        UsageError: if there is no such task or variant.
    """
    by_name = {definition.name: definition for definition in TASKS}
    base, slash, variant = name.partition("/")
    if base not in by_name:
        raise UsageError(f"There is no task {base!r}; {did_you_mean(base, by_name)}")
    definition = by_name[base]
    if not slash:
        return definition
    if definition.variant is None:
        raise UsageError(f"The task {base} has no variants such as {variant!r}; omit it.")
    return definition.variant(variant)
