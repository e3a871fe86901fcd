"""Passes that do not fit into memory: made in pieces, with the same update."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.tiny import Checkpoints
from tests.training.runs import (
    assert_same_update,
    copy_task,
    forward_limit,
    launch,
    log_of,
    quick,
    seq2seq,
)

from warmstart.errors import TrainingError
from warmstart.evaluation.evaluate import target_loss
from warmstart.model.stack import Stack
from warmstart.training import trainer as trainer_module
from warmstart.training.memory import OutOfMemory, is_out_of_memory
from warmstart.training.train import train

CPU = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"


def backward_limit(limit: int, error: BaseException) -> Callable[..., Any]:
    """Fails half-way, when the decoder has its gradients."""
    original = Stack.forward

    def forward(self: Stack, sequences: Any, *others: Any) -> Any:
        states = original(self, sequences, *others)
        if self.training and not self.config.causal and len(sequences.tokens) > limit:

            def fail(gradient: torch.Tensor) -> torch.Tensor:
                raise error

            states.register_hook(fail)
        return states

    return forward


@pytest.mark.parametrize(
    ("limited", "error"),
    [
        (forward_limit, torch.OutOfMemoryError("CUDA out of memory.")),
        (backward_limit, RuntimeError(CPU)),
    ],
    ids=["forward", "backward"],
)
def test_the_micro_batch_is_halved_and_the_update_stays(
    limited: Callable[..., Any],
    error: BaseException,
    checkpoints: Checkpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    task, config = copy_task(22), replace(quick(tmp_path / "whole"), batch_size=8)
    config = replace(config, accumulation_steps=2, max_steps=4)
    whole = train(seq2seq(checkpoints("bert")), task, config)
    assert not caplog.records
    monkeypatch.setattr(Stack, "forward", limited(30, error))
    short = replace(config, output_dir=tmp_path / "short")
    result = train(seq2seq(checkpoints("bert")), task, short)
    assert_same_update(whole.folder, result.folder)
    for key in ("loss", "grad_norm"):
        ours, others = (log_of(tmp_path / run, key) for run in ("whole", "short"))
        assert ours == pytest.approx(others, rel=1e-4)
    messages = [record.getMessage() for record in caplog.records]
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert "halved from 8 to 4 examples, and accumulation doubled from 2 to 4 passes" in messages[0]
    assert len(messages) == len({message.partition("halved")[2] for message in messages}), (
        "once each"
    )
    record = json.loads((tmp_path / "short" / "out_of_memory.json").read_text())
    assert record[-1]["pieces"] == 2 ** len(messages)


def test_a_resumed_run_makes_the_same_pieces(
    checkpoints: Checkpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Bit for bit, with dropout: from before memory ran out and from after."""
    task = copy_task(22)
    config = replace(
        quick(tmp_path / "run"), dropout=0.1, evaluate_every=1, save_total_limit=9, batch_size=8
    )
    config = replace(config, max_steps=5, seed=3)
    monkeypatch.setattr(Stack, "forward", forward_limit(36, MemoryError()))
    whole = train(seq2seq(checkpoints("bert")), task, config)
    expected = (whole.folder / "model.safetensors").read_bytes()
    (entry,) = json.loads((tmp_path / "run" / "out_of_memory.json").read_text())
    assert 0 < entry["step"] < 3, "or another seed is needed"
    caplog.clear()
    caplog.set_level(logging.INFO, "warmstart")
    for step in (entry["step"], entry["step"] + 1):
        run = tmp_path / f"from-{step}"
        shutil.copytree(tmp_path / "run" / f"checkpoint-{step}", run / f"checkpoint-{step}")
        shutil.copy(tmp_path / "run" / "out_of_memory.json", run)
        result = train(
            seq2seq(checkpoints("bert"), seed=9), task, replace(config, output_dir=run), resume=True
        )
        assert (result.folder / "model.safetensors").read_bytes() == expected
    assert "Out of memory" not in caplog.text, "it knew"
    assert f"into 2 pieces from step {entry['step'] + 1} on" in caplog.text


def test_one_example_that_does_not_fit_ends_the_run(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = copy_task(22)
    monkeypatch.setattr(Stack, "forward", forward_limit(6, RuntimeError(CPU)))
    with pytest.raises(OutOfMemory) as caught:
        train(seq2seq(checkpoints("bert")), task, replace(quick(tmp_path / "run"), batch_size=5))
    message = str(caught.value)
    assert "with a micro-batch of one example: the training example" in message
    number = int(message.partition("training example ")[2].partition(" ")[0])
    words = len(task.split("train").examples[number].source.split())
    assert f"of {words + 2} source and {words + 1} target tokens" in message
    assert words + 2 > 6
    assert "Lower task.max_source_length" in message


def test_out_of_memory_outside_of_a_pass(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*arguments: Any, **keywords: Any) -> Any:
        raise RuntimeError(CPU)

    monkeypatch.setattr(trainer_module, target_loss.__name__, too_much)
    with pytest.raises(TrainingError, match="Out of memory outside of a training pass"):
        train(seq2seq(checkpoints("bert")), copy_task(22, 2), quick(tmp_path / "run"))


def test_other_errors_are_not_out_of_memory() -> None:
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("not enough memory"))


@pytest.mark.slow
def test_processes_agree_on_the_pieces(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """The second of two runs out of memory, in the last pass of a step and in another."""
    config = replace(quick(tmp_path / "one"), max_steps=3, batch_size=8, accumulation_steps=2)
    whole = train(seq2seq(checkpoints("bert")), copy_task(32), config)
    changes = {"max_steps": 3, "accumulation_steps": 2, "evaluate_every": 0}
    two = {"name": "two", "changes": changes, "examples": (32, 0), "limits": {"1": 12}}
    lost = {**two, "name": "lost", "limits": {"1": 4}, "ends": "OutOfMemory"}
    messages = launch(checkpoints("bert"), tmp_path, two, lost)
    assert_same_update(whole.folder, tmp_path / "two" / "final")
    assert "halved from 4 to 2 examples, and accumulation doubled from 2 to 4 passes" in messages
    record = json.loads((tmp_path / "two" / "out_of_memory.json").read_text())
    assert record[-1]["pieces"] >= 2
    assert "lost: OutOfMemory: Another process has run out of memory" in messages
    assert "lost: OutOfMemory: Out of memory at step 1 with a micro-batch of one" in messages
