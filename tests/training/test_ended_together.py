"""A failure of one of several processes ends all with one sentence, and nothing is lost."""

from pathlib import Path

import pytest
from tests.support.tiny import Checkpoints
from tests.training.runs import launch

from warmstart.errors import OutputError, TrainingError
from warmstart.training.checkpoints import checkpoints as checkpoints_of
from warmstart.training.checkpoints import damage
from warmstart.training.processes import fail_together, lost_peer_as_error

GLOO = (
    "[/__w/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer "
    "[127.0.0.1]:5021. This is typically caused by a remote worker crashing."
)


def errors_of(run: str, stderr: str) -> list[str]:
    """The errors of all processes at the end of a run."""
    return [line.removeprefix(f"{run}: ") for line in stderr.splitlines() if line.startswith(run)]


@pytest.mark.slow
def test_a_failure_of_one_process_ends_all(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """One has a full disk, one a NaN loss, one is killed."""
    ddp = {"evaluate_every": 2}
    fsdp = {**ddp, "parallel": "fsdp"}
    full = {"ends": "OutputError TrainingError"}
    output = launch(
        checkpoints("bert"),
        tmp_path,
        {"name": "full-0-ddp", "changes": ddp, "room": {"0": 200_000}, **full},
        {"name": "full-1-ddp", "changes": ddp, "room": {"1": 8_000}, **full},
        {"name": "full-0-fsdp", "changes": fsdp, "room": {"0": 200_000}, **full},
        {"name": "full-1-fsdp", "changes": fsdp, "room": {"1": 8_000}, **full},
        {"name": "lost", "changes": ddp, "lose": 3, "ends": "TrainingError"},
        {"name": "killed", "changes": fsdp, "kill": 3, "ends": "TrainingError"},
        code=1,
    )
    for name in ("full-0-ddp", "full-1-ddp", "full-0-fsdp", "full-1-fsdp"):
        errors = errors_of(name, output)
        assert sorted(line.partition(": ")[0] for line in errors) == full["ends"].split()
        (sentence,) = {line.partition(": ")[2] for line in errors}
        assert sentence.startswith(f"{tmp_path}/{name}/checkpoint-2 could not be written (")
        assert not checkpoints_of(tmp_path / name)
        assert not (tmp_path / name / ".unfinished").exists(), "the room is free again"
    first, second = errors_of("lost", output)
    assert first == second
    assert first.startswith("TrainingError: The loss is nan at step 3, in a pass over the training")
    blamed = first.partition("examples ")[2].partition(" (counted")[0].split(", ")
    assert len(blamed) == 4, "the examples of one process"
    assert f"Resume from {tmp_path}/lost/checkpoint-2, with a lower" in first
    (sentence,) = errors_of("killed", output)
    assert sentence.startswith("TrainingError: Another process of this run has ended or cannot be")
    assert "third_party" not in sentence
    assert damage(tmp_path / "killed" / "checkpoint-2") is None


def test_a_lost_connection_is_one_sentence() -> None:
    lost = r"reached \(Connection closed by peer \[127"
    with pytest.raises(TrainingError, match=lost) as caught, lost_peer_as_error():
        raise RuntimeError(GLOO)
    assert caught.value.on_all_ranks
    with pytest.raises(RuntimeError, match="shapes"), lost_peer_as_error():
        raise RuntimeError("shapes cannot be multiplied")


def test_one_process_has_its_own_error() -> None:
    with pytest.raises(OutputError, match="full") as caught, fail_together():
        raise OutputError("The disk is full.")
    assert not caught.value.on_all_ranks
