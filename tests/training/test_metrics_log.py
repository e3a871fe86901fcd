import json
from pathlib import Path

from warmstart.training.metrics_log import append_events, read_events, rewind


def loss(step: int) -> dict[str, float]:
    return {"step": step, "seconds": 1.5 * step, "loss": 2.0}


def evaluation(step: int) -> dict[str, float]:
    return {"step": step, "seconds": 1.5 * step, "eval_loss": 2.0, "eval_bleu": 3.0}


def test_events_after_a_checkpoint_are_dropped(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    append_events(file, [loss(1), loss(2), evaluation(2), loss(3), loss(4), evaluation(4)])
    # Stopped in the evaluation of step 4: the checkpoint knows the loss only.
    rewind(file, [loss(1), loss(2), evaluation(2), loss(3), loss(4)])
    assert read_events(file) == [loss(1), loss(2), evaluation(2), loss(3), loss(4)]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_samples_go_with_their_evaluation(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    append_events(file, [{"step": step, "example": 0, "output": "a"} for step in (2, 4)])
    rewind(file, [loss(2), evaluation(2), loss(4)])
    assert [event["step"] for event in read_events(file)] == [2]


def test_a_truncated_line_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    append_events(file, [loss(1)])
    for rest in (b'{"step": 2, "lo', '{"step": 2, "output": "é'.encode()[:-1]):
        file.write_bytes(json.dumps(loss(1)).encode() + b"\n" + rest)
        assert read_events(file) == [loss(1)]
    file.write_text(json.dumps(loss(1)) + "\n" + json.dumps(loss(2)))
    rewind(file, [loss(1), loss(2)])
    assert read_events(file) == [loss(1)]  # else the next line would be joined to it


def test_no_file_no_lines(tmp_path: Path) -> None:
    rewind(tmp_path / "metrics.jsonl", [])
    assert read_events(tmp_path / "metrics.jsonl") == []
    assert not list(tmp_path.iterdir())
