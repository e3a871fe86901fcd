"""Options of an evaluation. Loads no torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from warmstart.generation.generation_config import GenerationConfig
from warmstart.metrics.metric import Metric
from warmstart.validation import UNCHECKED

__all__ = ["EvaluationOptions", "ReferenceText"]

ReferenceText = Literal["as_given", "round_trip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions(GenerationConfig):
    """Options of an evaluation. Decoding settings that are left out are the task's own."""

    metrics: Annotated[Sequence[str | Metric] | None, UNCHECKED] = None
    """Names of metrics, or metrics with options; default: the task's."""
    reference_text: ReferenceText = "as_given"
    """Sources and references as they are given; or as the target tokenizer decodes them, so that
    outputs of an uncased model, not detokenized, are compared with uncased text, which the
    signatures name."""
    batch_size: Annotated[int, Ge(1)] = 32
    """Examples decoded side by side."""
    outputs_file: Annotated[str | os.PathLike[str] | None, UNCHECKED] = None
    """JSON Lines file for source, output and references of each example; default: none."""
    per_example: bool = False
    """Add the values of each example."""
