"""Sentences without their errors: grammar, spelling; several references are several targets."""

from typing import Final

from warmstart.data.origin import Origin
from warmstart.tasks.task import TaskDefinition

__all__ = ["CORRECTION"]

CORRECTION: Final = TaskDefinition(
    name="correction",
    description="correct sentences (incorrect and correct, or your own columns)",
    max_source_length=128,
    max_target_length=128,
    metrics=("gleu_correction", "exact_match"),
    origin=Origin(
        kinds=("correction", "pairs"),
        # JFLEG's files are test.src and test.ref0 to test.ref3.
        sides=(("incorrect", "correct"), ("src", "ref"), ("src", "cor")),
    ),
)
