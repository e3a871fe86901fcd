"""Outputs of the same few examples at each evaluation, to see how they change."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from warmstart.progress import Progress, one_line
from warmstart.tasks.task import Split
from warmstart.training.metrics_log import append_events

__all__ = ["SAMPLES", "Sample", "choose_samples", "show_samples", "write_samples"]

SAMPLES: Final = "samples.jsonl"
_SHOWN: Final = 3  # on stderr; the file has all
_LABEL: Final = 10  # columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One example of an evaluation, with the model's output."""

    example: int  # its index in the validation split, from 0
    source: str
    targets: tuple[str, ...]
    output: str


def choose_samples(split: Split, outputs: Sequence[str], count: int) -> list[Sample]:
    """Examples evenly spaced over a split, the same at each evaluation.

    Args:
        split: the examples that were decoded.
        outputs: one for each of them.
        count: number of samples; all examples if there are fewer.
    """
    count = min(count, len(split))
    indices = [index * len(split) // count for index in range(count)]
    examples = [(index, split.examples[index]) for index in indices]
    return [
        Sample(
            example=index,
            source=example.source,
            targets=tuple(example.targets),
            output=outputs[index],
        )
        for index, example in examples
    ]


def write_samples(path: Path, step: int, samples: Sequence[Sample]) -> None:
    """Appends a line of JSON for each sample."""
    rows: list[dict[str, Any]] = [
        {
            "step": step,
            "example": sample.example,
            "source": sample.source,
            "targets": list(sample.targets),
            "output": sample.output,
        }
        for sample in samples
    ]
    append_events(path, rows)


def show_samples(progress: Progress, samples: Sequence[Sample]) -> None:
    """Writes the first few to stderr, each text truncated to one line of the terminal."""
    for sample in samples[:_SHOWN]:
        texts = {"source": sample.source, "target": sample.targets[0], "output": sample.output}
        for label, text in texts.items():
            line = Text(f"  {label:<{_LABEL - 2}}", style="dim")
            line.append(one_line(text, progress.width - _LABEL), style="not dim")
            progress.say(line)
        progress.say("")
