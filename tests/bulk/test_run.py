"""Whole runs: killed and resumed, by several processes, on a cluster."""

import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.tiny import WORDS

from warmstart.bulk import run as run_module
from warmstart.bulk.blocks import Block
from warmstart.bulk.decode import Counts
from warmstart.bulk.job import Job
from warmstart.bulk.run import generate_files
from warmstart.errors import DataError, OutputError, UsageError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    dice = random.Random(0)
    file = tmp_path / "in.txt"
    texts = [" ".join(dice.choices(WORDS, k=dice.randint(0, 7))) for _ in range(200)]
    file.write_text("\n".join(texts) + "\n")
    return file


def job(model: Path, **changes: object) -> Job:
    return Job(model=str(model), batch_size=1, max_length=4, **changes)


def whole(model: Path, source: Path) -> bytes:
    target = source.with_name("whole.txt")
    counts = generate_files(job(model), [source], output=target)
    assert counts.lines == 200
    return target.read_bytes()


@pytest.mark.slow
def test_killed_at_any_time_and_resumed(composed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bulk.killed_runs", composed, tmp_path, "1"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    logs = [file.read_text() for file in tmp_path.glob("*.err")]
    assert finished.returncode == 0, finished.stderr + "".join(logs)
    told = json.loads(finished.stdout)
    assert told["alike"] >= 2
    assert told["kills"] >= 3


@pytest.mark.slow
def test_a_process_that_is_killed_in_the_middle(
    composed: Path, source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed: list[int] = []
    expected = whole(composed, source)

    def kill(block: Block, counts: Counts) -> None:
        busy = [child.pid for child in multiprocessing.active_children()]
        if block.index == 1:
            killed.append(busy[0])
            os.kill(busy[0], signal.SIGKILL)

    target = tmp_path / "out.txt"
    with caplog.at_level(logging.INFO):
        counts = generate_files(job(composed), [source], output=target, processes=2, on_block=kill)
    assert len(killed) == 1
    assert target.read_bytes() == expected
    assert counts.lines == 200
    assert "starting 2 processes with 1 thread each" in caplog.text
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_an_error_in_a_process_ends_the_run_and_can_be_fixed(
    composed: Path, source: Path, tmp_path: Path
) -> None:
    expected = whole(composed, source)
    text, target = source.read_bytes(), tmp_path / "out.txt"
    lines = text.splitlines(keepends=True)
    source.write_bytes(b"".join([*lines[:150], b"\xff\n", *lines[151:]]))
    with pytest.raises(DataError, match=r"in\.txt, line 151 is not UTF-8"):
        generate_files(job(composed), [source], output=target, processes=2)
    assert multiprocessing.active_children() == []
    begun = target.read_bytes()
    assert begun == expected[: len(begun)]
    assert begun.count(b"\n") == 127  # the blocks before
    source.write_bytes(text)
    generate_files(job(composed), [source], output=target, resume=True)
    assert target.read_bytes() == expected


def test_what_is_resumed_must_be_what_was_begun(
    composed: Path, source: Path, tmp_path: Path
) -> None:
    expected, target = whole(composed, source), tmp_path / "out.txt"

    def stop(block: Block, counts: Counts) -> None:
        if block.index == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_files(job(composed), [source], output=target, on_block=stop)
    changed = source.with_name("changed.txt")
    changed.write_text(source.read_text().replace("the", "a", 1))
    with pytest.raises(
        DataError, match="its first 63 lines, whose outputs are written, are different"
    ):
        generate_files(job(composed), [changed], output=target, resume=True)
    changed.write_text("".join(source.read_text().splitlines(keepends=True)[:40]))
    with pytest.raises(DataError, match="The input has changed"):
        generate_files(job(composed), [changed], output=target, resume=True)
    with pytest.raises(UsageError, match="was begun with long truncate, and now it is chunk"):
        generate_files(job(composed, long="chunk"), [source], output=target, resume=True)
    counts = generate_files(job(composed), [source], output=target, resume=True)
    assert (target.read_bytes(), counts.lines) == (expected, 200)
    # Again, it is finished.
    assert generate_files(job(composed), [source], output=target, resume=True) == Counts()
    target.write_bytes(b"".join(expected.splitlines(keepends=True)[:64]))
    with pytest.raises(OutputError, match="has 64 lines and the input 200, and there is no"):
        generate_files(job(composed), [source], output=target, resume=True)


def test_what_is_read_is_not_written(
    composed: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = source.read_bytes()
    with source.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(UsageError, match=r"in\.txt is both input and output"):
            generate_files(job(composed), output=source, overwrite=True)
    with source.open("a") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(UsageError, match="standard output is both input and output"):
            generate_files(job(composed), [source])
    assert source.read_bytes() == text
    for name in ("config.json", "outputs.txt"):
        with pytest.raises(UsageError, match=f"{name} is in the model's folder; put"):
            generate_files(job(composed), [source], output=composed / name, overwrite=True)


def test_a_run_that_fails_leaves_what_was_there(
    composed: Path, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.txt"
    target.write_text("precious\n")
    wrong = Job(model=str(composed), num_beams=2, do_sample=True)
    for processes in (1, 2):
        with pytest.raises(UsageError, match="do_sample is set and num_beams is 2"):
            generate_files(wrong, [source], output=target, overwrite=True, processes=processes)
    source.write_bytes(b"")  # nothing is read, and it is told all the same
    with pytest.raises(UsageError, match="do_sample is set and num_beams is 2"):
        generate_files(wrong, [source], output=target, overwrite=True)
    assert target.read_text() == "precious\n"
    assert sorted(tmp_path.glob("out*")) == [target]


@pytest.mark.slow
def test_processes_end_with_a_run_that_is_killed(composed: Path, source: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; "
        "from tests.bulk.test_run import job; "
        "from warmstart.bulk.local_processes import ProcessWorkers; "
        "workers = ProcessWorkers(job(Path(sys.argv[1])), 2); "
        "print(*[child.process.pid for child in workers.children], flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", code, str(composed)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert run.returncode == -signal.SIGKILL
    until = time.monotonic() + 30
    for pid in map(int, run.stdout.split()):
        while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                break
            time.sleep(0.05)
        else:
            assert time.monotonic() < until, "a process outlives its run"


def test_another_model_is_noticed(composed: Path, tmp_path: Path) -> None:
    digest = run_module._digest_of_model(str(composed))
    other = tmp_path / "other"
    other.mkdir()
    for file in composed.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    assert run_module._digest_of_model(str(other)) == digest
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(bytes(weights))
    assert run_module._digest_of_model(str(other)) != digest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resume": True, "overwrite": True, "output": "out"}, "both given"),
        ({"resume": True}, "resume needs a file to write to"),
        ({"overwrite": True}, "overwrite needs a file"),
        ({"processes": 0}, "processes is 0"),
        ({"output": "in.txt"}, "is both input and output"),
        ({"output": "."}, "is a folder; give the name of a file in it"),
        ({"output": "none/out.txt"}, "there is no folder"),
    ],
)
def test_contradictions(
    tmp_path: Path, source: Path, changes: dict[str, object], words: str
) -> None:
    if "output" in changes:
        changes = {**changes, "output": tmp_path / str(changes["output"])}
    with pytest.raises(UsageError, match=words):
        generate_files(Job(model="none"), [source], **changes)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scores": True}, "scores needs the output format jsonl"),
        ({"decoding": {"num_return_sequences": 2}}, "num_return_sequences above 1 needs"),
        ({"output_column": "x"}, "output_column needs"),
        ({"source_column": "x"}, "lines of text have no columns"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"output_column": ""}, "output_column is empty"),
    ],
)
def test_jobs_that_contradict_themselves(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Job(model="none", **settings)
