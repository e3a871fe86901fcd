"""Small runs for the tests of this folder: a task to learn in seconds, and settings for it."""

import json
import random
from dataclasses import replace
from pathlib import Path

from tests.tiny import WORDS

from warmstart.data.example import Example
from warmstart.generation.options import GenerationOptions
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.pairs import PAIRS
from warmstart.tasks.task import Split, Task
from warmstart.training.config import TrainConfig

__all__ = ["copy_task", "copying_examples", "log_of", "quick", "seq2seq"]


def copying_examples(
    count: int, seed: int = 0, *, words: int = len(WORDS), longest: int = 6
) -> tuple[Example, ...]:
    """Texts of one to some words, to be written again."""
    dice = random.Random(seed)
    texts = [
        " ".join(dice.choices(WORDS[:words], k=dice.randint(1, longest))) for _ in range(count)
    ]
    return tuple(Example(text, (text,)) for text in texts)


def copy_task(
    train: int,
    validation: int = 0,
    *,
    metrics: tuple[str, ...] = ("exact_match",),
    words: int = len(WORDS),
    longest: int = 6,
) -> Task:
    """A task to copy texts; without validation examples there is no such split."""
    definition = replace(
        PAIRS,
        metrics=metrics,
        max_source_length=20,
        max_target_length=20,
        generation=GenerationOptions(max_length=12),
    )
    parts = {
        "train": copying_examples(train, words=words, longest=longest),
        "validation": copying_examples(validation, seed=1, words=words, longest=longest),
    }
    return Task(
        definition=definition,
        splits={
            name: Split(definition=definition, name=name, examples=examples)
            for name, examples in parts.items()
            if examples
        },
    )


def quick(folder: Path) -> TrainConfig:
    """Settings that are the same on every machine: float32 and no dropout. Change by `replace`."""
    return TrainConfig(
        output_dir=folder,
        max_steps=6,
        batch_size=4,
        learning_rate=1e-3,
        warmup_steps=2,
        dropout=0.0,
        precision="float32",
        evaluate_every=0,
        log_every=1,
    )


def seq2seq(folder: Path, seed: int = 0) -> Seq2Seq:
    """One checkpoint as both halves."""
    return Seq2Seq.warm_start(encoder=folder, decoder=folder, seed=seed)


def log_of(folder: Path, key: str) -> dict[int, float]:
    """What was logged under a key, by step."""
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {event["step"]: event[key] for event in events if key in event}
