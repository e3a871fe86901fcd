"""Any pairs of texts: the task to take when no other fits."""

from typing import Final

from warmstart.tasks.task import TaskDefinition

__all__ = ["PAIRS"]

PAIRS: Final = TaskDefinition(
    name="pairs",
    description="any source and target texts (files with columns, or parallel text files)",
    max_source_length=512,
    max_target_length=128,
    metrics=("rougeL", "bleu", "exact_match"),
)
