"""Simpler sentences of the same meaning; test sets have several references.

TurkCorpus and ASSET are found in their folders by the words of their files' names
(test.8turkers.tok.norm and .turk.0 to .turk.7; asset.test.orig and .simp.0 to .simp.9).
"""

from typing import Final

from warmstart.data.origin import Origin
from warmstart.tasks.task import TaskDefinition

__all__ = ["SIMPLIFICATION"]

SIMPLIFICATION: Final = TaskDefinition(
    name="simplification",
    description="simplify sentences, with one reference or several",
    max_source_length=128,
    max_target_length=128,
    metrics=("sari_easse", "sari", "bleu"),
    origin=Origin(
        kinds=("simplification", "splitting", "pairs"),
        sides=(("norm", "turk"), ("orig", "simp"), ("complex", "simple"), ("normal", "simple")),
    ),
)
