"""Small runs for the tests of this folder: a task to learn in seconds, and settings for it."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tests.support.tiny import WORDS

from warmstart.composition.composition_options import Share
from warmstart.data.example import Example
from warmstart.generation.generation_config import GenerationConfig
from warmstart.model.stack import Stack
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.pairs import PAIRS
from warmstart.tasks.task import Split, Task
from warmstart.training.train_config import TrainConfig

__all__ = [
    "assert_same_update",
    "copy_task",
    "copying_examples",
    "forward_limit",
    "launch",
    "log_of",
    "quick",
    "seq2seq",
]

ROOT = Path(__file__).parents[2]
_RATE = 1e-3  # learning rate of `quick`
_STEPS = 12  # of the longest runs that are compared


def copying_examples(
    count: int, seed: int = 0, *, words: int = len(WORDS), longest: int = 6
) -> tuple[Example, ...]:
    """Texts of one to `longest` words, to be copied."""
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
        generation=GenerationConfig(max_length=12),
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
        learning_rate=_RATE,
        warmup_steps=2,
        dropout=0.0,
        precision="float32",
        evaluate_every=0,
        log_every=1,
    )


def seq2seq(folder: Path, seed: int = 0, share: Share = "none") -> Seq2Seq:
    """One checkpoint as both halves."""
    return Seq2Seq.warm_start(encoder=folder, decoder=folder, seed=seed, share=share)


def log_of(folder: Path, key: str) -> dict[int, float]:
    """Logged values of a key, by step."""
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {event["step"]: event[key] for event in events if key in event}


def assert_same_update(a: Path, b: Path) -> None:
    """Saved models, of runs with the settings of `quick`, that differ by rounding alone.

    Adam moves a weight by about `rate * m / sqrt(v)` a step, so what counts of a gradient g is its
    relative error. Kernels that sum terms of size G in different orders differ by some eps * G,
    which moves a weight by `rate * eps * G / |g|`. Allowed is `rate` / 50 for a weight, which a
    gradient down to G / 100,000 keeps in each of 12 steps (eps is 1.2e-7), and `rate` / 1,000 on
    average; and half a rounding of the weight itself in each step of both runs. One word less in
    one of 22 targets moved the weights of a tensor by `rate` / 18 on average and `rate` at most.

    Attention does not depend on a bias of its keys, whose gradient is therefore nothing but
    rounding; so those are not compared.
    """
    ours, others = (load_file(folder / "model.safetensors") for folder in (a, b))
    assert ours.keys() == others.keys()
    apart = {
        name: (ours[name] - others[name]).abs()
        for name in ours
        if not name.endswith("self.key.bias")
    }
    eps = torch.finfo(torch.float32).eps
    assert not {
        name: (difference.mean().item(), difference.max().item())
        for name, difference in apart.items()
        if difference.mean() > _RATE / 1_000 + _STEPS * eps * ours[name].abs().mean()
        or difference.max() > _RATE / 50 + _STEPS * eps * ours[name].abs().max()
    }


def forward_limit(limit: int, error: BaseException) -> Callable[..., Any]:
    """`Stack.forward` with an error for more tokens than a limit in an encoder."""
    original = Stack.forward

    def forward(self: Stack, sequences: Any, *others: Any) -> Any:
        if self.training and not self.config.causal and len(sequences.tokens) > limit:
            raise error
        return original(self, sequences, *others)

    return forward


def launch(
    checkpoint: Path, folder: Path, *runs: Mapping[str, Any], processes: int = 2, code: int = 0
) -> str:
    """Runs `two_processes.py` under torchrun, and returns its stderr."""
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    command += ["--master-port=0", "--standalone", str(script), str(checkpoint), str(folder)]
    finished = subprocess.run(
        [*command, json.dumps(runs)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
    )
    assert finished.returncode == code, finished.stderr
    return finished.stderr
