import importlib.machinery
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny import Checkpoints
from tests.training.runs import copy_task, log_of, quick, seq2seq
from transformers.integrations import integration_utils

from warmstart.errors import UsageError
from warmstart.training.train import train
from warmstart.training.train_config import TrainConfig


def scalars(folder: Path, tag: str) -> dict[int, float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()  # type: ignore[no-untyped-call]
    return {event.step: event.value for event in events.Scalars(tag)}


@pytest.mark.filterwarnings("ignore")  # tensorboard's own
def test_tensorboard_has_what_the_log_has(checkpoints: Checkpoints, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = replace(quick(run), evaluate_every=2, report_to=("tensorboard",))
    for steps, resume in ((4, False), (6, True)):
        task = copy_task(24, 4)
        train(seq2seq(checkpoints("bert")), task, replace(config, max_steps=steps), resume=resume)
    for tag, key in (
        ("train/loss", "loss"),
        ("train/grad_norm", "grad_norm"),
        ("train/target_tokens_per_second", "target_tokens_per_second"),
        ("eval/loss", "eval_loss"),
        ("eval/exact_match", "eval_exact_match"),
    ):
        assert scalars(run / "tensorboard", tag) == pytest.approx(log_of(run, key), rel=1e-5)


def test_trackio_gets_the_logs(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module in its place records the calls of transformers' integration."""
    logged: list[dict[str, Any]] = []
    begun: dict[str, Any] = {}
    fake = types.ModuleType("trackio")
    fake.__spec__ = importlib.machinery.ModuleSpec("trackio", None)
    space = types.SimpleNamespace(get=lambda: None)
    for name, value in {
        "init": begun.update,
        "log": logged.append,
        "finish": lambda: begun.update(finished=True),
        "config": types.SimpleNamespace(update=lambda *_, **__: None),
        "context_vars": types.SimpleNamespace(current_space_id=space),
    }.items():
        setattr(fake, name, value if name != "init" else lambda **given: begun.update(given))
    monkeypatch.setitem(sys.modules, "trackio", fake)
    monkeypatch.setattr(integration_utils, "is_trackio_available", lambda: True)
    run = tmp_path / "my run"
    config = replace(quick(run), report_to=("trackio",))
    train(seq2seq(checkpoints("bert")), copy_task(24, 4), config)
    assert (begun["project"], begun["name"], begun["finished"]) == ("warmstart", "my run", True)
    losses = {row["train/global_step"]: row["train/loss"] for row in logged if "train/loss" in row}
    assert losses == pytest.approx(log_of(run, "loss"))


def test_a_tracker_that_is_not_installed(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install trackio, or leave it out"):
        train(
            seq2seq(checkpoints("bert")),
            copy_task(8),
            replace(quick(tmp_path / "run"), report_to=("trackio",)),
        )
    assert not (tmp_path / "run").exists()


def test_trackers_have_names() -> None:
    with pytest.raises(UsageError, match="did you mean 'tensorboard'"):
        TrainConfig(output_dir=Path("x"), report_to=("tensorbord",))
    with pytest.raises(UsageError, match=r"give a list: \['trackio'\]"):
        TrainConfig(output_dir=Path("x"), report_to="trackio")
