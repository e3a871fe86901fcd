"""Runs that are killed, stopped, damaged, out of space or diverged: checkpoints stay whole."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny import Checkpoints
from tests.training.runs import copy_task, log_of, quick, seq2seq

from warmstart.errors import Interrupted, OutputError, TrainingError
from warmstart.evaluation import evaluate as evaluation
from warmstart.seq2seq import Seq2Seq
from warmstart.training import batches
from warmstart.training import loss as loss_module
from warmstart.training import trainer as trainer_module
from warmstart.training.checkpoints import checkpoints as checkpoints_of
from warmstart.training.checkpoints import damage, newest_whole, prune
from warmstart.training.interruption import stop_requests
from warmstart.training.loss_monitor import LossMonitor
from warmstart.training.train import train

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(checkpoints: Checkpoints) -> Seq2Seq:
    return seq2seq(checkpoints("bert"))


@pytest.fixture(scope="module")
def finished(checkpoints: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps with all of its checkpoints. Tests take copies."""
    folder = tmp_path_factory.mktemp("never-lost") / "run"
    config = replace(quick(folder), dropout=0.1, evaluate_every=1, save_total_limit=9)
    train(seq2seq(checkpoints("bert")), copy_task(22, 2), config)
    return folder


def same_weights(a: Path, b: Path) -> bool:
    return (a / "model.safetensors").read_bytes() == (b / "model.safetensors").read_bytes()


def resume_copy(run: Path, checkpoints: Checkpoints, **changes: Any) -> Path:
    """Resumes a copy of the finished run, with a model of other weights; its final folder."""
    config = replace(quick(run), dropout=0.1, evaluate_every=1, save_total_limit=9, **changes)
    return train(seq2seq(checkpoints("bert"), seed=9), copy_task(22, 2), config, resume=True).folder


# Killed.


@pytest.mark.slow
def test_killed_at_random_times_a_run_ends_as_an_uninterrupted_one(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    finished = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("killed_runs.py")),
            str(checkpoints("bert")),
            str(tmp_path),
            str(seed),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
    )
    logs = "".join(path.read_text()[-2000:] for path in tmp_path.glob("*.err"))
    assert finished.returncode == 0, f"seed {seed}\n{finished.stderr}\n{logs}"
    output = json.loads(finished.stdout)
    assert output["kills"] >= 3, f"seed {seed}: the machine is too slow to show anything: {output}"
    assert output["alike"] >= 1


# Damaged.


def test_sums_are_those_of_sha256sum(finished: Path) -> None:
    newest = finished / "checkpoint-6"
    tool = shutil.which("sha256sum")
    if tool is None:
        pytest.skip("there is no sha256sum here")
    subprocess.run([tool, "--check", "--strict", "SHA256SUMS"], cwd=newest, check=True)
    named = {line.split("  ")[1] for line in (newest / "SHA256SUMS").read_text().splitlines()}
    there = {str(path.relative_to(newest)) for path in newest.rglob("*") if path.is_file()}
    assert named == there - {"SHA256SUMS"}
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"} <= named


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [truncate, flip_a_bit, Path.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "SHA256SUMS"])
def test_a_damaged_checkpoint_is_noticed(
    name: str, harm: Any, finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    assert newest_whole(run) == run / "checkpoint-6"
    assert not caplog.records
    harm(run / "checkpoint-6" / name)
    assert newest_whole(run) == run / "checkpoint-5"
    assert "checkpoint-6 is damaged (" in caplog.text
    assert name in caplog.text or name == "SHA256SUMS"
    assert "resuming from an earlier one" in caplog.text


def test_the_newest_whole_checkpoint_is_resumed(
    finished: Path, checkpoints: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    truncate(run / "checkpoint-6" / "optimizer.pt")
    shutil.rmtree(run / "final")
    assert same_weights(resume_copy(run, checkpoints), finished / "final")
    assert "checkpoint-6 is damaged (optimizer.pt has changed)" in caplog.text
    assert damage(run / "checkpoint-6") is None, "it was written again"
    assert list(log_of(run, "loss")) == [1, 2, 3, 4, 5, 6]


def test_no_whole_checkpoint(finished: Path, checkpoints: Checkpoints, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    for folder in checkpoints_of(run).values():
        (folder / "optimizer.pt").unlink()
    with pytest.raises(TrainingError, match=r"All checkpoints in .* are damaged"):
        resume_copy(run, checkpoints)


def test_a_run_that_ended_before_its_final_folder_was_written(
    finished: Path, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(run / "final")
    assert same_weights(resume_copy(run, checkpoints), finished / "final")
    assert list(log_of(run, "loss")) == [1, 2, 3, 4, 5, 6], "no step was made"


def test_a_moved_run_still_knows_its_best(
    finished: Path, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """The best is an early one, whose path in the state is the old one."""
    run = shutil.copytree(finished, tmp_path / "elsewhere")
    shutil.rmtree(run / "checkpoint-6")
    shutil.rmtree(run / "final")
    assert same_weights(resume_copy(run, checkpoints), finished / "final")


def test_a_damaged_best_checkpoint(
    finished: Path, checkpoints: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    losses = log_of(run, "eval_loss")
    best = min(losses, key=lambda step: losses[step])
    state = run / f"checkpoint-{best}" / "scheduler.pt"
    state.write_bytes(state.read_bytes() + b"!")
    final = resume_copy(run, checkpoints)
    kept = 6 if best < 6 else best
    assert same_weights(final, run / f"checkpoint-{kept}")
    assert "is damaged (scheduler.pt has changed)" in caplog.text


def test_pruning_keeps_the_best_and_the_newest(tmp_path: Path) -> None:
    def left(limit: int, best: int | None, steps: range = range(1, 8)) -> list[int]:
        run = tmp_path / f"run-{limit}-{best}-{steps.stop}"
        for step in steps:
            (run / f"checkpoint-{step}").mkdir(parents=True)
        prune(run, limit, best)
        return list(checkpoints_of(run))

    assert left(9, 2) == [1, 2, 3, 4, 5, 6, 7]
    assert left(3, None) == [5, 6, 7]
    assert left(3, 2) == [2, 6, 7]
    assert left(2, 2) == [2, 7]
    assert left(2, 7) == [6, 7]
    assert left(1, 2) == [2, 7]
    assert left(1, 7) == [7]
    assert left(2, 1, range(1, 2)) == [1]


# Stopped.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("during", ["step", "evaluation"])
def test_a_signal_saves_and_stops(
    number: signal.Signals,
    during: str,
    finished: Path,
    checkpoints: Checkpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    calls = 0

    def third_time(function: Any) -> Any:
        def called(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 3:
                signal.raise_signal(number)
            return function(*arguments, **keywords)

        return called

    with monkeypatch.context() as patch:
        if during == "step":
            patch.setattr(loss_module, "sequences", third_time(batches.sequences))
        else:
            patch.setattr(trainer_module, "target_loss", third_time(evaluation.target_loss))
        config = replace(quick(run), dropout=0.1, evaluate_every=1, save_total_limit=9)
        with pytest.raises(Interrupted) as caught:
            train(seq2seq(checkpoints("bert")), copy_task(22, 2), config)
    assert caught.value.exit_code == 128 + number
    assert str(caught.value) == (
        f"Stopped by {number.name} after step 3 of 6; the checkpoint is {run}/checkpoint-3. "
        "Continue with: train(model, task, config, resume=True)"
    )
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert same_weights(run / "checkpoint-3", finished / "checkpoint-3")
    assert 3 not in log_of(run, "eval_loss"), "it did not wait for an evaluation"
    assert same_weights(resume_copy(run, checkpoints), finished / "final")
    assert log_of(run, "eval_loss") == log_of(finished, "eval_loss"), "it was made up for"
    assert log_of(run, "loss") == log_of(finished, "loss")


def test_the_second_request_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with stop_requests() as request:
        signal.raise_signal(signal.SIGINT)
        assert request.signal == signal.SIGINT
        signal.raise_signal(signal.SIGINT)  # torchrun's, right after the terminal's
        request.since -= 10
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("during", ["step", "evaluation"])
def test_a_run_at_its_end_is_not_stopped(
    during: str,
    finished: Path,
    checkpoints: Checkpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0

    def sixth_time(function: Any) -> Any:
        def called(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 6:
                signal.raise_signal(signal.SIGTERM)
            return function(*arguments, **keywords)

        return called

    if during == "step":
        monkeypatch.setattr(loss_module, "sequences", sixth_time(batches.sequences))
    else:
        monkeypatch.setattr(trainer_module, "target_loss", sixth_time(evaluation.target_loss))
    run = tmp_path / "run"
    config = replace(quick(run), dropout=0.1, evaluate_every=1, save_total_limit=9)
    result = train(seq2seq(checkpoints("bert")), copy_task(22, 2), config)
    assert same_weights(result.folder, finished / "final")
    assert log_of(run, "eval_loss") == log_of(finished, "eval_loss")


def test_a_signal_during_the_missing_evaluation_of_a_resumed_run(
    finished: Path,
    checkpoints: Checkpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"

    def stopped(*arguments: Any, **keywords: Any) -> float:
        signal.raise_signal(signal.SIGTERM)
        return evaluation.target_loss(*arguments, **keywords)

    shutil.copytree(finished / "checkpoint-3", run / "checkpoint-3")
    state = run / "checkpoint-3" / "trainer_state.json"
    saved = json.loads(state.read_text())
    history = [e for e in saved["log_history"] if "eval_loss" not in e or e["step"] < 3]
    state.write_text(json.dumps({**saved, "log_history": history}))
    sums = run / "checkpoint-3" / "SHA256SUMS"
    lines = [line.partition("  ")[2] for line in sums.read_text().splitlines()]
    digests = {name: sha256((sums.parent / name).read_bytes()).hexdigest() for name in lines}
    sums.write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()))
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "target_loss", stopped)
        with pytest.raises(Interrupted, match="Stopped by SIGTERM after step 3 of 6"):
            resume_copy(run, checkpoints)
    assert same_weights(resume_copy(run, checkpoints), finished / "final")


@pytest.mark.slow
def test_the_command_prints_how_to_resume_and_exits_143(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    bert = checkpoints("bert")
    (tmp_path / "pairs.tsv").write_text(
        "source\ttarget\n" + "".join(f"the {word}\ta {word}\n" for word in ["cat", "dog"] * 20)
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {{encoder: '{bert}', decoder: '{bert}'}}\n"
        f"task: {{name: pairs, data: '{tmp_path}/pairs.tsv'}}\n"
        f"training: {{output_dir: '{tmp_path}/a run', max_steps: 100000, batch_size: 2,"
        " log_every: 1, evaluate_every: 0}\n"
    )
    command = [sys.executable, "-c", "import sys; from warmstart.cli.main import main; "]
    command[-1] += "sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        [*command, "train", str(recipe)], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    log = tmp_path / "a run" / "metrics.jsonl"
    while process.poll() is None and not (log.exists() and log.stat().st_size):
        os.sched_yield()
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=120)[1]
    assert process.returncode == 143, output
    last = output.strip().splitlines()[-1]
    assert last.startswith("Stopped by SIGTERM after step ")
    (step,) = checkpoints_of(tmp_path / "a run")
    command_line = f"warmstart train '{tmp_path}/a run/recipe.yaml' --resume"
    assert last.endswith(
        f"of 100000; the checkpoint is {tmp_path}/a run/checkpoint-{step}. "
        f"Continue with: {command_line}"
    )


# Out of space.


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writes beyond a size fail, as they do on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("share_of", ["model.safetensors", "optimizer.pt"])
def test_a_full_disk_leaves_earlier_checkpoints(
    share_of: str, finished: Path, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copytree(finished / "checkpoint-2", run / "checkpoint-2")
    size = (finished / "checkpoint-3" / share_of).stat().st_size
    with largest_file(size - 50), pytest.raises(OutputError) as caught:
        resume_copy(run, checkpoints)
    assert f"{run}/checkpoint-3 could not be written (" in str(caught.value)
    assert "earlier checkpoints are whole. Free some space, then resume the run." in str(
        caught.value
    )
    assert list(checkpoints_of(run)) == [2]
    assert newest_whole(run) == run / "checkpoint-2"
    assert not (run / ".unfinished").exists(), "the room that it took is free again"
    assert same_weights(resume_copy(run, checkpoints), finished / "final")


# Diverged.


def poisoned(rows: set[int]) -> Any:
    """Makes the loss of the passes that hold some examples NaN."""
    original = LossMonitor.add

    def add(self: LossMonitor, indices: Any, loss: Any) -> None:
        original(self, indices, loss * float("nan") if rows & set(indices) else loss)

    return add


def test_a_nan_loss_names_the_examples_of_its_pass(
    model: Seq2Seq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LossMonitor, "add", poisoned({11}))
    config = replace(
        quick(tmp_path / "run"), batch_size=2, accumulation_steps=4, evaluate_every=1, max_steps=9
    )
    with pytest.raises(TrainingError) as caught:
        train(model, copy_task(24), config)
    message = str(caught.value)
    named = message.partition("training examples ")[2].partition(" (counted from 0)")[0]
    assert len(named.split(", ")) == 2
    assert "11" in named.split(", ")
    step = int(message.partition("at step ")[2].partition(",")[0])
    kept = checkpoints_of(tmp_path / "run")
    if step > 1:
        assert f"Resume from {tmp_path}/run/checkpoint-{step - 1}, with a lower" in message
        assert damage(kept[step - 1]) is None
    assert step not in kept


def test_a_loss_that_explodes_ends_the_run(model: Seq2Seq, tmp_path: Path) -> None:
    config = replace(quick(tmp_path / "run"), max_loss=1.0, evaluate_every=1)
    with pytest.raises(TrainingError, match=r"The loss is [34]\.\d+ at step 1, in a pass over"):
        train(model, copy_task(24), config)
    assert not checkpoints_of(tmp_path / "run")
    wide = replace(quick(tmp_path / "other"), learning_rate=10.0, warmup_steps=0, max_steps=30)
    with pytest.raises(TrainingError, match=r"(The loss|The gradient norm) is .* at step \d+, in"):
        train(model, copy_task(24), replace(wide, max_gradient_norm=0.0))


def test_a_gradient_that_is_not_finite_ends_the_run_before_the_weights_are_lost(
    model: Seq2Seq, tmp_path: Path
) -> None:
    bias = model.model.head.bias
    assert bias is not None
    bias.register_hook(lambda gradient: gradient * float("inf"))
    config = replace(quick(tmp_path / "run"), evaluate_every=1)
    with pytest.raises(TrainingError, match=r"The gradient norm is (nan|inf) at step 1, in a pass"):
        train(model, copy_task(24), config)
    assert all(parameter.isfinite().all() for parameter in model.model.parameters())
