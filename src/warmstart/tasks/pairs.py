"""Any pairs of texts: the task to take when no other fits."""

from typing import Final

from warmstart.data.pairs import read_examples
from warmstart.tasks.task import TaskDefinition

__all__ = ["PAIRS"]

PAIRS: Final = TaskDefinition(
    name="pairs",
    description="any source and target texts (columns of TSV, CSV or JSON Lines, or text files)",
    read=read_examples,
    max_source_length=512,
    max_target_length=128,
    metrics=("rougeL", "bleu", "exact_match"),
)
