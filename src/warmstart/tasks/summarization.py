"""Summaries of any texts; several references are several targets."""

from typing import Final

from warmstart.data.origin import Origin
from warmstart.tasks.task import TaskDefinition

__all__ = ["ROUGE", "SUMMARIZATION", "rouge_figures"]

ROUGE: Final = ("rouge1", "rouge2", "rougeL")


def rouge_figures(rouge1: float, rouge2: float, rouge_l: float) -> dict[str, float]:
    """One row of a table of ROUGE-1, -2 and -L."""
    return dict(zip(ROUGE, (rouge1, rouge2, rouge_l), strict=True))


SUMMARIZATION: Final = TaskDefinition(
    name="summarization",
    description="summarize (article and highlights, document and summary, or your own columns)",
    max_source_length=512,
    max_target_length=128,
    metrics=ROUGE,
    origin=Origin(
        kinds=("summarization", "pairs"),
        sides=(("article", "highlights"), ("article", "summary"), ("document", "summary")),
    ),
)
