"""Runs with a model sharded over processes, and runs resumed with another number of them."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.tiny import Checkpoints
from tests.training.runs import assert_same_update, copy_task, launch, log_of, quick, seq2seq

from warmstart.composition.composition_options import Share
from warmstart.errors import TrainingError, UsageError
from warmstart.seq2seq import Seq2Seq
from warmstart.training.checkpoints import damage
from warmstart.training.effective_batch import keep_batch, write_batch
from warmstart.training.prepare import prepare_run, shard, uses_bfloat16
from warmstart.training.processes import Processes
from warmstart.training.sharding import units
from warmstart.training.train import train
from warmstart.training.train_config import Lora, TrainConfig
from warmstart.training.trainer import Trainer


def one_process(folder: Path, **changes: Any) -> TrainConfig:
    config = replace(quick(folder), max_steps=5, batch_size=8, evaluate_every=2)
    return replace(config, **changes)


def resume_copy(
    source: Path, run: Path, checkpoints: Checkpoints, step: int, **changes: Any
) -> Path:
    """Resumes a copy of a run in one process, with a model of other weights; its final folder."""
    name = f"checkpoint-{step}"
    shutil.copytree(source / name, run / name)
    for path in source.glob("out_of_memory.json"):
        shutil.copy(path, run)
    model = seq2seq(checkpoints("bert"), seed=9)
    return train(model, copy_task(24, 3), one_process(run, **changes), resume=True).folder


@pytest.mark.slow
def test_sharded_runs(
    checkpoints: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bert = checkpoints("bert")
    one = train(seq2seq(bert), copy_task(24, 3), one_process(tmp_path / "one")).folder
    shared = train(
        seq2seq(bert, share="all+cross"), copy_task(24, 3), one_process(tmp_path / "shared-one")
    ).folder
    taught = {"teacher": str(one), "max_steps": 3}
    student = train(
        seq2seq(bert), copy_task(24, 3), one_process(tmp_path / "student-one", **taught)
    ).folder
    for name in ("up", "replicated-up"):
        shutil.copytree(tmp_path / "one" / "checkpoint-4", tmp_path / name / "checkpoint-4")
    fsdp: dict[str, Any] = {"parallel": "fsdp", "evaluate_every": 2}
    finer = {**fsdp, "batch_size": 2, "accumulation_steps": 2, "activation_checkpointing": True}
    output = launch(
        bert,
        tmp_path,
        {"name": "two", "changes": fsdp},
        {"name": "shared-two", "changes": finer, "share": "all+cross"},
        {"name": "student-two", "changes": {**fsdp, **taught}},
        # With the settings of one process, and so twice the examples, but for what is kept.
        {"name": "up", "changes": {**fsdp, "batch_size": 8}, "resume": True},
        {
            "name": "replicated-up",
            "changes": {"batch_size": 8, "evaluate_every": 2},
            "resume": True,
        },
        {"name": "stopped", "changes": fsdp, "stop": 2, "ends": "Interrupted"},
        {"name": "lost", "changes": {**fsdp, "max_loss": 1.0}, "ends": "TrainingError"},
        {"name": "short", "changes": {**fsdp, "evaluate_every": 1}, "fail": 3},
        code=1,  # of the last one
    )
    # The same curve and the same weights.
    for ours, theirs in (("one", "two"), ("shared-one", "shared-two")):
        for key in ("loss", "grad_norm", "eval_loss"):
            expected = log_of(tmp_path / ours, key)
            assert log_of(tmp_path / theirs, key) == pytest.approx(expected, rel=1e-4)
    assert_same_update(one, tmp_path / "two" / "final")
    assert_same_update(shared, tmp_path / "shared-two" / "final")
    assert_same_update(student, tmp_path / "student-two" / "final")
    # A checkpoint is a model folder, with a part of the optimizer's state from each process.
    sharded = tmp_path / "two" / "checkpoint-4"
    assert damage(sharded) is None
    parts = [torch.load(path) for path in sorted(sharded.glob("optimizer-*-of-00002.pt"))]
    whole = torch.load(tmp_path / "one" / "checkpoint-4" / "optimizer.pt")
    for index, state in whole["state"].items():
        moments = [part["state"][index]["exp_avg"] for part in parts]
        torch.testing.assert_close(torch.cat(moments), state["exp_avg"], atol=1e-6, rtol=1e-3)
    assert max(len(part["state"][0]["exp_avg"]) for part in parts) < len(
        whole["state"][0]["exp_avg"]
    )
    assert Seq2Seq.from_pretrained(sharded, device="cpu").generate(["the cat"])
    # From one process to two, and from two to one, within the second epoch.
    assert_same_update(one, tmp_path / "up" / "final")
    assert_same_update(one, tmp_path / "replicated-up" / "final")
    assert "To keep them with 2 processes, batch_size is 4 and accumulation_steps 1." in output
    assert_same_update(
        one, resume_copy(tmp_path / "two", tmp_path / "down", checkpoints, 4, batch_size=4)
    )
    assert "with 1 processes, batch_size is 4 and accumulation_steps 2" in caplog.text
    # SIGTERM to the second process, in its second step.
    assert output.count("stopped: Interrupted: Stopped by SIGTERM after step 2 of 5") == 2
    assert_same_update(one, resume_copy(tmp_path / "stopped", tmp_path / "again", checkpoints, 2))
    assert output.count("lost: TrainingError: The loss is ") == 2
    # Memory that runs out in the second process ends the run; it goes on in pieces.
    assert "short: OutOfMemory: A process of a sharded run cannot restart a pass" in output
    record = json.loads((tmp_path / "short" / "out_of_memory.json").read_text())
    assert record == [{"step": 2, "pieces": 2}]
    final = resume_copy(tmp_path / "short", tmp_path / "longer", checkpoints, 2, evaluate_every=1)
    assert_same_update(one, final)


@pytest.mark.parametrize("share", ["none", "embeddings", "layers", "all", "cross", "all+cross"])
def test_every_parameter_belongs_to_one_unit(share: Share, checkpoints: Checkpoints) -> None:
    """Parameters of a unit occur nowhere else, and hardly any block is left out."""
    model = seq2seq(checkpoints("bert"), share=share).model
    found = units(model)
    names = {id(module): name for name, module in model.named_modules(remove_duplicate=False)}
    everywhere = list(model.named_parameters(remove_duplicate=False))
    seen: set[int] = set()
    for unit in found:
        own = {id(parameter) for parameter in unit.parameters()}
        assert not own & seen
        seen |= own
        prefixes = [
            name for name, each in model.named_modules(remove_duplicate=False) if each is unit
        ]
        assert names[id(unit)] in prefixes
        outside = {
            id(parameter)
            for name, parameter in everywhere
            if not any(name.startswith(f"{prefix}.") for prefix in prefixes)
        }
        assert not own & outside
    in_blocks = {id(parameter) for name, parameter in everywhere if ".blocks." in name}
    if share == "all+cross":  # attention is everywhere, feed-forward is not
        assert len(found) == len(model.decoder.blocks)
    else:
        assert seen == in_blocks


def test_a_step_keeps_its_examples(tmp_path: Path) -> None:
    config = replace(quick(tmp_path), batch_size=6, accumulation_steps=2)
    assert keep_batch(config, 5, tmp_path) is config, "nothing is known"
    write_batch(config, 2, tmp_path)  # 24 examples

    def kept(processes: int, **changes: int) -> tuple[int, int]:
        found = keep_batch(replace(config, **changes), processes, tmp_path)
        return found.batch_size, found.accumulation_steps

    assert kept(2) == (6, 2)
    assert kept(1) == (6, 4)
    assert kept(4) == (6, 1)
    assert kept(8) == (3, 1)
    assert kept(3) == (4, 2)
    assert kept(24) == (1, 1)
    assert kept(2, batch_size=3) == (3, 4)
    assert kept(2, batch_size=100) == (12, 1)
    with pytest.raises(TrainingError, match="numbers of processes: 1, 2, 3, 4, 6, 8, 12, 24"):
        kept(5)


def test_settings_of_accelerate_launch(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    seen: list[Any] = []
    original = Trainer.__init__

    def kept(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        fsdp = os.environ["ACCELERATE_USE_FSDP"]
        seen.append((self.run.config.parallel, fsdp, uses_bfloat16(self.run.config)))

    monkeypatch.setattr(Trainer, "__init__", kept)
    train(seq2seq(checkpoints("bert")), copy_task(8), replace(quick(tmp_path / "r"), max_steps=1))
    assert seen == [("fsdp", "false", False)]


def test_a_step_keeps_its_tokens(tmp_path: Path) -> None:
    config = replace(quick(tmp_path), batch_tokens=4096, accumulation_steps=2)
    write_batch(config, 4, tmp_path)
    kept = keep_batch(config, 1, tmp_path)
    assert (kept.batch_tokens, kept.accumulation_steps) == (4096, 8)
    assert keep_batch(replace(config, batch_tokens=None), 1, tmp_path).batch_tokens is None
    with pytest.raises(TrainingError, match=r"32768 tokens, which 3 .*: 1, 2, 4, 8, 16, 32, 64"):
        keep_batch(config, 3, tmp_path)


def test_settings_that_cannot_be_sharded(checkpoints: Checkpoints, tmp_path: Path) -> None:
    config = replace(quick(tmp_path / "run"), parallel="fsdp", optimizer="adafactor")
    run = prepare_run(seq2seq(checkpoints("bert")), copy_task(8), config, resume=False)
    two = Processes(device=torch.device("cpu"), count=2)
    with pytest.raises(UsageError, match="use optimizer 'adamw', or parallel 'ddp'"):
        shard(run, two)
    lora = replace(config, optimizer="adamw", lora=Lora())
    with pytest.raises(UsageError, match="use parallel 'ddp', or leave lora out"):
        shard(replace(run, config=lora), two)
    with pytest.raises(UsageError, match="parallel is 'fsd'; did you mean 'fsdp'"):
        replace(config, parallel="fsd")
