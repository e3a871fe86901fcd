"""Whole runs on tiny models: they learn, keep the best, resume, and reject harmful settings."""

import json
import logging
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.support.tiny import Checkpoints
from tests.training.runs import assert_same_update, copy_task, launch, log_of, quick, seq2seq
from torch import Tensor, nn

from warmstart.data.stored import StoredExamples, keep_examples
from warmstart.errors import OutputError, TrainingError, UsageError
from warmstart.evaluation.evaluate import evaluate, target_loss
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.load import load_task
from warmstart.tasks.task import Task
from warmstart.training.batches import TokenizedExamples
from warmstart.training.checkpoints import damage
from warmstart.training.metrics_log import read_events
from warmstart.training.optimizer import create_optimizer
from warmstart.training.train import train


def weights(model: Seq2Seq) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.model.state_dict().items()}


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """Bit for bit."""
    assert a.keys() == b.keys()
    assert not [name for name in a if not torch.equal(a[name], b[name])]


@pytest.fixture
def model(checkpoints: Checkpoints) -> Seq2Seq:
    return seq2seq(checkpoints("bert"))


def test_a_tiny_model_learns_to_copy(model: Seq2Seq, tmp_path: Path) -> None:
    task = copy_task(200, 30, words=6, longest=2)
    before = target_loss(model, task.split("validation"))
    config = replace(
        quick(tmp_path / "run"),
        max_steps=120,
        batch_size=16,
        learning_rate=3e-3,
        warmup_steps=20,
        log_every=50,
        best_metric="exact_match",
    )
    result = train(model, task, config)
    after = target_loss(model, task.split("validation"))
    assert before > 3.0
    assert after < 0.5
    assert result.best_metric == "exact_match"
    assert result.best_value is not None
    assert result.best_value > 80
    exact = evaluate(model, task.split("validation"))["exact_match"].value
    assert exact == pytest.approx(result.best_value)
    assert result.steps == 120
    assert 0 < result.loss < before
    loaded = Seq2Seq.from_pretrained(result.folder, device="cpu")
    assert_equal(weights(loaded), weights(model))
    assert loaded.generation == task.split("train").generation
    assert not model.model.training


def test_the_log_has_a_line_for_each_event(model: Seq2Seq, tmp_path: Path) -> None:
    config = replace(quick(tmp_path / "run"), evaluate_every=4)
    result = train(model, copy_task(24, 4), config)
    run = tmp_path / "run"
    assert list(log_of(run, "loss")) == [1, 2, 3, 4, 5, 6]
    assert list(log_of(run, "eval_loss")) == list(log_of(run, "eval_exact_match")) == [4, 6]
    rates = list(log_of(run, "learning_rate").values())
    assert rates == pytest.approx([0, 5e-4, 1e-3, 7.5e-4, 5e-4, 2.5e-4])
    assert result.loss == log_of(run, "loss")[6]
    assert result.best_value == log_of(run, "eval_loss")[result.best_step or 0]
    for name in ("examples", "source_tokens", "target_tokens"):
        assert all(rate > 0 for rate in log_of(run, f"{name}_per_second").values())
    # A step has 4 examples, and 24 are an epoch.
    assert list(log_of(run, "epoch").values()) == pytest.approx([n / 6 for n in range(1, 7)])
    seconds = list(log_of(run, "seconds").values())
    assert seconds == sorted(seconds)
    settings = json.loads((run / "train_config.json").read_text())
    assert settings["max_steps"] == 6
    assert settings["output_dir"] == str(run)


@pytest.mark.parametrize(
    ("once", "cut"),
    [
        ({"batch_size": 8}, {"batch_size": 4, "accumulation_steps": 2}),
        ({"batch_size": 8}, {"batch_size": 2, "accumulation_steps": 4}),
        ({"batch_tokens": 80}, {"batch_tokens": 20, "accumulation_steps": 4}),
    ],
)
def test_an_update_does_not_depend_on_the_split_of_a_batch(
    once: dict[str, int], cut: dict[str, int], checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """Passes hold different numbers of target tokens, and every token counts the same."""
    task = copy_task(22)  # epochs end within steps
    whole, parts = (seq2seq(checkpoints("bert")) for _ in range(2))
    config = replace(quick(tmp_path / "whole"), max_steps=7, **once)
    first = train(whole, task, config)
    pieces = replace(config, output_dir=tmp_path / "parts", **cut)
    second = train(parts, task, pieces)
    assert_same_update(first.folder, second.folder)
    assert log_of(tmp_path / "parts", "loss") == pytest.approx(
        log_of(tmp_path / "whole", "loss"), abs=1e-5
    )
    assert log_of(tmp_path / "parts", "grad_norm") == pytest.approx(
        log_of(tmp_path / "whole", "grad_norm"), rel=1e-4
    )
    examples = TokenizedExamples(whole, task.split("train").examples, None, None)
    assert len({len(example.labels) for example in examples}) > 3


@pytest.mark.slow
def test_two_processes_make_the_same_update(checkpoints: Checkpoints, tmp_path: Path) -> None:
    staged = {"cross_attention_steps": 1, "encoder_frozen_steps": 3, "freeze": ["embeddings"]}
    runs: dict[str, dict[str, Any]] = {"all": {}, "staged": staged}
    launch(
        checkpoints("bert"),
        tmp_path,
        *({"name": f"two-{name}", "changes": changes} for name, changes in runs.items()),
    )
    for name, changes in runs.items():
        one, two = tmp_path / f"one-{name}", tmp_path / f"two-{name}"
        config = replace(quick(one), max_steps=5, batch_size=8, evaluate_every=3, **changes)
        result = train(seq2seq(checkpoints("bert")), copy_task(24, 3), config)
        assert_same_update(result.folder, two / "final")
        for step in (3, 5):
            folder = two / f"checkpoint-{step}"
            names = {path.name for path in folder.iterdir()}
            assert {"model.safetensors", "rng_state_0.pth", "rng_state_1.pth"} <= names
            assert damage(folder) is None
        for key in ("loss", "grad_norm", "eval_loss"):
            assert log_of(two, key) == pytest.approx(log_of(one, key), rel=1e-4)


@pytest.mark.parametrize(
    ("step", "changes"),
    [(3, {}), (6, {"batch_tokens": 40, "data_workers": 1}), (9, {})],
    ids=["3", "tokens", "9"],
)
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    step: int, changes: dict[str, int], checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """Bit for bit, with dropout, from the middle of an epoch as from its end."""
    task = copy_task(22, 4)
    config = replace(
        quick(tmp_path / "whole"),
        max_steps=12,
        evaluate_every=3,
        dropout=0.1,
        attention_dropout=0.1,
        save_total_limit=9,
        **changes,
    )
    whole = seq2seq(checkpoints("bert"))
    expected = train(whole, task, config)
    broken = tmp_path / "broken"
    name = f"checkpoint-{step}"
    shutil.copytree(tmp_path / "whole" / name, broken / name)
    # One that was being written when the run was ended has no state yet.
    shutil.copytree(tmp_path / "whole" / name, broken / "checkpoint-12")
    (broken / "checkpoint-12" / "trainer_state.json").unlink()
    resumed = seq2seq(checkpoints("bert"), seed=5)  # its own weights do not matter
    # Who prepares batches does not matter either.
    config = replace(config, output_dir=broken, data_workers=0)
    result = train(resumed, task, config, resume=True)
    assert_equal(weights(resumed), weights(whole))
    assert result.best_value == expected.best_value
    assert result.steps == 12
    assert list(log_of(broken, "loss")) == list(range(step + 1, 13))
    assert log_of(broken, "epoch")[12] == log_of(tmp_path / "whole", "epoch")[12] > 1
    after = {at: loss for at, loss in log_of(tmp_path / "whole", "loss").items() if at > step}
    assert log_of(broken, "loss") == after


@pytest.mark.parametrize(
    ("metric", "best"), [("loss", min), ("rouge1", max), ("repetition_rate", min)]
)
def test_the_best_model_is_kept(metric: str, best: Any, model: Seq2Seq, tmp_path: Path) -> None:
    """On six memorized examples, so that the loss on others soon rises again."""
    metrics = ("exact_match", "rouge1", "repetition_rate")
    task = copy_task(6, 12, metrics=metrics, words=10, longest=3)
    run = tmp_path / "run"
    config = replace(
        quick(run),
        max_steps=40,
        evaluate_every=5,
        learning_rate=1e-2,
        best_metric=metric,
        save_total_limit=1,
    )
    result = train(model, task, config)
    values = log_of(run, f"eval_{metric}")
    assert result.best_value == best(values.values())
    assert result.best_metric == metric
    step = next(at for at, value in values.items() if value == result.best_value)
    if metric == "loss":
        assert step < 30, "the last model should not be the best, or this shows nothing"
    kept = load_file(run / f"checkpoint-{step}" / "model.safetensors")
    assert_equal(kept, load_file(result.folder / "model.safetensors"))
    assert_equal(weights(Seq2Seq.from_pretrained(result.folder, device="cpu")), weights(model))
    if metric == "loss":
        again = target_loss(model, task.split("validation"))
    else:
        again = evaluate(model, task.split("validation"))[metric].value
    assert again == pytest.approx(result.best_value)


def test_progress_goes_to_stderr_and_nothing_to_stdout(
    model: Seq2Seq, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(model, copy_task(24, 4), replace(quick(tmp_path / "run"), evaluate_every=4))
    written = capsys.readouterr()
    assert written.out == ""
    for step in (4, 6):
        assert f"step {step}: loss " in written.err


def test_off_a_terminal_the_last_step_is_logged(
    model: Seq2Seq, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(model, copy_task(24, 4), replace(quick(tmp_path / "run"), evaluate_every=4))
    lines = capsys.readouterr().err.splitlines()
    (last,) = [line for line in lines if line.startswith("step 6 of 6 (100 %): ")]
    values = r"loss \S+, learning rate \S+, gradient norm \S+, \S+ examples/s, \S+ target tokens/s"
    assert re.search(values, last)
    assert not any("\x1b" in line or "\r" in line for line in lines)


def test_samples_are_kept_and_three_are_shown(
    model: Seq2Seq, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(quick(tmp_path / "run"), evaluate_every=3, samples=5)
    task = copy_task(24, 9)
    train(model, task, config)
    rows = read_events(tmp_path / "run" / "samples.jsonl")
    assert [(row["step"], row["example"]) for row in rows] == [
        (step, example) for step in (3, 6) for example in (0, 1, 3, 5, 7)
    ]
    split = task.split("validation")
    outputs = model.generate(split.sources, config=split.generation)
    for row in rows[5:]:  # the best model is the last
        example = split.examples[row["example"]]
        assert (row["source"], row["targets"]) == (example.source, list(example.targets))
        assert row["output"] == outputs[row["example"]]
    lines = capsys.readouterr().err.splitlines()
    labels = [line.split()[0] for line in lines if line.startswith("  ") and line[2] in "sto"]
    assert [label for label in labels if label in ("source", "target", "output")][-9:] == [
        "source",
        "target",
        "output",
    ] * 3
    train(model, task, replace(config, output_dir=tmp_path / "none", samples=0))
    assert not (tmp_path / "none" / "samples.jsonl").exists()


def test_a_resumed_run_logs_nothing_twice(checkpoints: Checkpoints, tmp_path: Path) -> None:
    def run(steps: int, resume: bool) -> None:
        config = replace(quick(tmp_path / "run"), max_steps=steps, evaluate_every=2)
        train(seq2seq(checkpoints("bert")), copy_task(24, 4), config, resume=resume)

    run(4, resume=False)
    file = tmp_path / "run" / "metrics.jsonl"
    file.write_text(file.read_text() + '{"step": 5, "seconds": 99, "loss": 1.0}\n{"step": 6,')
    run(6, resume=True)
    run(6, resume=True)
    events = read_events(file)
    assert [event["step"] for event in events if "loss" in event] == [1, 2, 3, 4, 5, 6]
    assert [event["step"] for event in events if "eval_loss" in event] == [2, 4, 6]
    assert len(events) == 9
    seconds = [event["seconds"] for event in events]
    assert seconds == sorted(seconds)
    samples = read_events(tmp_path / "run" / "samples.jsonl")
    assert [sample["step"] for sample in samples] == [2] * 4 + [4] * 4 + [6] * 4


def test_changed_data_is_logged_when_a_run_is_resumed(
    checkpoints: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        f"{example.source}\t{example.target}" for example in copy_task(24).split("train").examples
    ]
    file = tmp_path / "pairs.tsv"

    def run(lines: list[str], steps: int) -> str:
        file.write_text("source\ttarget\n" + "\n".join(lines) + "\n", encoding="utf-8")
        task = load_task("pairs", {"train": file, "validation": file})
        caplog.clear()
        config = replace(quick(tmp_path / "run"), max_steps=steps)
        train(seq2seq(checkpoints("bert")), task, config, resume=steps > 1)
        return caplog.text

    assert "The data has changed" not in run(lines, 1)
    assert "The data has changed" not in run(lines, 2)
    output = run([*lines[1:], "new\tnew"], 3)
    assert (
        f"The data has changed since {tmp_path}/run/checkpoint-2 was written: train has" in output
    )
    assert "train has other contents (pairs.tsv); validation has other contents" in output
    assert "train has 23 examples, not 24" in run(lines[1:], 4)
    assert list(log_of(tmp_path / "run", "loss")) == [1, 2, 3, 4]


def test_without_validation_the_last_model_is_kept(model: Seq2Seq, tmp_path: Path) -> None:
    result = train(model, copy_task(24), quick(tmp_path / "run"))
    assert result.best_metric is None
    assert result.best_value is None
    assert_equal(weights(Seq2Seq.from_pretrained(result.folder, device="cpu")), weights(model))


def test_sharing_survives_a_run(checkpoints: Checkpoints, tmp_path: Path) -> None:
    bert = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert, share="all")
    before = sum(parameter.numel() for parameter in model.model.parameters())
    result = train(model, copy_task(24, 4), replace(quick(tmp_path / "run"), evaluate_every=3))
    loaded = Seq2Seq.from_pretrained(result.folder, device="cpu")
    for trained in (model, loaded):
        assert sum(parameter.numel() for parameter in trained.model.parameters()) == before
    assert loaded.composition.share == "all"


def test_a_prefix_decoder_is_trained_too(checkpoints: Checkpoints, tmp_path: Path) -> None:
    model = Seq2Seq.warm_start(encoder=None, decoder=checkpoints("gpt2"))
    task = copy_task(24, 4)
    before = target_loss(model, task.split("train"))
    train(model, task, replace(quick(tmp_path / "run"), max_steps=20))
    assert target_loss(model, task.split("train")) < before - 0.5


def test_bfloat16_trains_float32_weights(model: Seq2Seq, tmp_path: Path) -> None:
    task = copy_task(24)
    before = target_loss(model, task.split("train"))
    config = replace(quick(tmp_path / "run"), max_steps=20, precision="bfloat16")
    train(model, task, config)
    assert {parameter.dtype for parameter in model.model.parameters()} == {torch.float32}
    assert target_loss(model, task.split("train")) < before - 0.5


def test_dropout_is_set(model: Seq2Seq, tmp_path: Path) -> None:
    config = replace(quick(tmp_path / "run"), max_steps=1, dropout=0.25, attention_dropout=0.5)
    train(model, copy_task(8), config)
    dropouts = [module for module in model.model.modules() if isinstance(module, nn.Dropout)]
    assert dropouts
    assert {module.p for module in dropouts} == {0.25}
    attention = model.model.decoder.blocks[0].cross_attention
    assert attention.config.dropout == 0.5  # type: ignore[union-attr]


def test_weight_decay_spares_biases_and_norms(
    model: Seq2Seq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.optim.Optimizer] = []

    def recorded(*arguments: Any) -> torch.optim.Optimizer:
        seen.append(create_optimizer(*arguments))
        return seen[-1]

    monkeypatch.setattr("warmstart.training.trainer.create_optimizer", recorded)
    train(model, copy_task(8), replace(quick(tmp_path / "run"), max_steps=1, weight_decay=0.1))
    decayed = {id(p) for g in seen[0].param_groups if g["weight_decay"] for p in g["params"]}
    spared = {id(p) for g in seen[0].param_groups if not g["weight_decay"] for p in g["params"]}
    for name, parameter in model.model.named_parameters():
        assert (id(parameter) in decayed) == (parameter.dim() > 1), name
        assert (id(parameter) in spared) == (parameter.dim() == 1), name


def test_new_parameters_can_have_their_own_rate(model: Seq2Seq, tmp_path: Path) -> None:
    """With a tiny rate for the others, only cross-attention changes."""
    before = weights(model)
    config = replace(
        quick(tmp_path / "run"), learning_rate=1e-30, new_learning_rate=1e-2, weight_decay=0.0
    )
    train(model, copy_task(24), config)
    moved = {
        name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])
    }
    assert moved
    assert all(".cross_attention." in name for name in moved)


@pytest.mark.parametrize("validation", [0, 4])
def test_a_nan_loss_ends_the_run_and_is_not_saved(
    validation: int, model: Seq2Seq, tmp_path: Path
) -> None:
    config = replace(
        quick(tmp_path / "run"), learning_rate=1e30, max_gradient_norm=0.0, evaluate_every=3
    )
    lost = r"The loss is nan at step \d, in a pass over the training examples \d+, "
    with pytest.raises(TrainingError, match=lost):
        train(model, copy_task(24, validation), config)
    assert not (tmp_path / "run" / "final").exists()
    for file in (tmp_path / "run").glob("checkpoint-*/model.safetensors"):
        assert all(tensor.isfinite().all() for tensor in load_file(file).values())
    assert all(map(math.isfinite, log_of(tmp_path / "run", "loss").values()))


def test_truncated_examples_are_counted(
    model: Seq2Seq, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = copy_task(24)
    definition = replace(task.definition, max_target_length=3)
    split = replace(task.split("train"), definition=definition)
    train(
        model,
        Task(definition=definition, splits={"train": split}),
        replace(quick(tmp_path / "run"), max_steps=1),
    )
    longer = sum(len(example.target.split()) + 1 > 3 for example in split.examples)
    assert f"{longer} of 24 targets are longer than 3 tokens and were truncated." in caplog.text


# Rejected before anything is trained or written.


def test_a_folder_with_other_files(model: Seq2Seq, tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("years of work")
    with pytest.raises(OutputError, match="holds other files; give a new folder"):
        train(model, copy_task(8), quick(folder))
    assert [path.name for path in folder.iterdir()] == ["chapter.txt"]
    with pytest.raises(OutputError, match="is a file; give a folder"):
        train(model, copy_task(8), quick(folder / "chapter.txt"))
    with pytest.raises(OutputError, match="cannot be made"):
        train(model, copy_task(8), quick(folder / "chapter.txt" / "run"))


def test_a_folder_of_another_run(model: Seq2Seq, tmp_path: Path) -> None:
    config = replace(quick(tmp_path / "run"), max_steps=1)
    train(model, copy_task(8), config)
    before = {path: path.read_bytes() for path in config.output_dir.rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match="holds an earlier run; resume it"):
        train(model, copy_task(8), config)
    after = {path: path.read_bytes() for path in config.output_dir.rglob("*") if path.is_file()}
    assert before == after


def test_nothing_to_resume(model: Seq2Seq, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no checkpoint in .* to resume from"):
        train(model, copy_task(8), quick(tmp_path / "run"), resume=True)
    assert not (tmp_path / "run").exists()


def test_a_metric_that_the_task_does_not_have(model: Seq2Seq, tmp_path: Path) -> None:
    config = replace(quick(tmp_path / "run"), best_metric="exact_mach")
    with pytest.raises(UsageError, match="did you mean 'exact_match'"):
        train(model, copy_task(8, 2), config)
    assert not (tmp_path / "run").exists()


def test_a_metric_that_ranks_nothing(model: Seq2Seq, tmp_path: Path) -> None:
    config = replace(quick(tmp_path / "run"), best_metric="copy_rate")
    with pytest.raises(UsageError, match="does not say which are better"):
        train(model, copy_task(8, 2, metrics=("copy_rate",)), config)
    assert not (tmp_path / "run").exists()


def test_a_task_without_training_data(model: Seq2Seq, tmp_path: Path) -> None:
    task = copy_task(8, 2)
    only = Task(definition=task.definition, splits={"validation": task.split("validation")})
    with pytest.raises(UsageError, match="has no training data"):
        train(model, only, quick(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_data_on_disk_trains_the_same(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, whether examples and token ids are in memory or in mapped files."""
    task = copy_task(30, 4)
    memory, disk = (seq2seq(checkpoints("bert")) for _ in range(2))
    train(memory, task, quick(tmp_path / "memory"))
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    split = task.split("train")
    stored = keep_examples(split.examples, in_memory=0)
    assert isinstance(stored, StoredExamples)
    splits = {**task.splits, "train": replace(split, examples=stored)}
    train(disk, replace(task, splits=splits), quick(tmp_path / "disk"))
    assert len(list((tmp_path / "cache" / "tokens").glob("*.arrow"))) == 1
    assert_equal(weights(disk), weights(memory))


def test_the_data_is_described_before_training(
    model: Seq2Seq, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = copy_task(24, 4)
    train_split, validation = task.split("train"), task.split("validation")
    shared = replace(validation, examples=(*validation.examples[:3], train_split.examples[0]))
    with caplog.at_level(logging.INFO):
        train(
            model,
            replace(task, splits={"train": train_split, "validation": shared}),
            replace(quick(tmp_path / "run"), max_steps=1),
        )
    assert "train: 24 rows" in caplog.text
    assert "source tokens at 5/25/50/75/95/99 %" in caplog.text
    assert "validation: warning: " in caplog.text
