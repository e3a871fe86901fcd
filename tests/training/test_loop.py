"""The training loop against one of 30 lines in plain PyTorch, and the state that it leaves."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from tests.support.tiny import Checkpoints
from tests.training.runs import copy_task, log_of, quick, seq2seq
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import TrainerState

from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq
from warmstart.training.passes import pass_sampler
from warmstart.training.prepare import prepare_run
from warmstart.training.processes import Processes
from warmstart.training.random_state import load_random_state, save_random_state
from warmstart.training.state import RunState, read_state, write_state
from warmstart.training.train import train
from warmstart.training.train_config import TrainConfig

STEPS, WARMUP, RATE = 6, 2, 1e-3


def plain_loop(model: Seq2Seq, config: TrainConfig) -> tuple[list[float], list[float]]:
    """Losses and gradient norms of a run; the model is trained in place."""
    run = prepare_run(model, copy_task(22), config, resume=False)
    network = model.model.eval()  # without dropout, as the run
    matrices = [p for p in network.parameters() if p.dim() > 1]
    vectors = [p for p in network.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: step / WARMUP if step < WARMUP else (STEPS - step) / (STEPS - WARMUP),
    )
    passes = iter(pass_sampler(run.examples, config, 1))
    losses, norms = [], []
    for _ in range(STEPS):
        examples = [
            run.examples[index] for _ in range(config.accumulation_steps) for index in next(passes)
        ]
        summed = torch.zeros(())
        for example in examples:  # one by one, with logits for the whole vocabulary
            source, target = (
                Sequences(torch.tensor(ids), (len(ids),))
                for ids in (example.source, example.inputs)
            )
            logits_TV: Tensor = network.head(network.states(source, target))
            summed = summed + cross_entropy(
                logits_TV, torch.tensor(example.labels), reduction="sum"
            )
        loss = summed / sum(len(example.labels) for example in examples)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), config.max_gradient_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        norms.append(norm.item())
    return losses, norms


@pytest.mark.parametrize(
    "changes", [{}, {"batch_size": 2, "accumulation_steps": 3}, {"max_gradient_norm": 0.2}]
)
def test_the_loop_is_the_plain_one(
    changes: dict[str, float], checkpoints: Checkpoints, tmp_path: Path
) -> None:
    config = replace(quick(tmp_path / "run"), max_steps=STEPS, **changes)
    losses, norms = plain_loop(seq2seq(checkpoints("bert")), config)
    train(seq2seq(checkpoints("bert")), copy_task(22), config)
    assert list(log_of(tmp_path / "run", "loss").values()) == pytest.approx(losses, rel=1e-4)
    assert list(log_of(tmp_path / "run", "grad_norm").values()) == pytest.approx(norms, rel=1e-3)


def test_transformers_reads_the_state(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """The file has the names of its Trainer, which other programs read, too."""
    config = replace(quick(tmp_path / "run"), evaluate_every=3, save_total_limit=9)
    result = train(seq2seq(checkpoints("bert")), copy_task(24, 4), config)
    folder = tmp_path / "run" / "checkpoint-6"
    theirs = TrainerState.load_from_json(str(folder / "trainer_state.json"))
    assert (theirs.global_step, theirs.max_steps, theirs.epoch) == (6, 6, 1.0)
    assert (theirs.best_metric, theirs.best_global_step) == (result.best_value, result.best_step)
    assert theirs.best_model_checkpoint == str(tmp_path / "run" / f"checkpoint-{result.best_step}")
    logged = [(event["step"], "eval_loss" in event) for event in theirs.log_history]
    assert logged == [(1, False), (2, False), (3, False), (3, True)] + [
        (step, step == 6 and again) for step, again in ((4, 0), (5, 0), (6, 0), (6, 1))
    ]


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = RunState(
        step=3,
        max_steps=9,
        epoch=0.5,
        history=({"loss": 2.0, "step": 2}, {"eval_loss": 1.5, "step": 3}),
        best_value=1.5,
        best_step=3,
    )
    write_state(state, tmp_path, tmp_path / "run")
    assert read_state(tmp_path, 9) == state
    assert read_state(tmp_path, 20).max_steps == 20, "a run may be made longer"
    assert state.is_evaluated
    assert not replace(state, step=4).is_evaluated
    assert [replace(state, step=step).is_last for step in (8, 9, 10)] == [False, True, True]
    saved = json.loads((tmp_path / "trainer_state.json").read_text())
    assert saved["best_model_checkpoint"] == str(tmp_path / "run" / "checkpoint-3")


def test_random_generators_continue_where_they_were(tmp_path: Path) -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(numpy.random.rand()), float(torch.rand(()))

    processes = Processes(device=torch.device("cpu"))
    save_random_state(tmp_path, processes)
    expected = draw()
    assert draw() != expected
    load_random_state(tmp_path, processes)
    assert draw() == expected
    load_random_state(tmp_path, replace(processes, count=2, index=1))  # without a file: as it is
    assert draw() != expected
