"""Closed and full streams, named pipes, devices and odd names of files: a sentence each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ODD = os.fsdecode(b"caf\xe9")  # Latin-1, which is not UTF-8


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", command.replace("warmstart", f"{sys.executable} -m warmstart")],
        cwd=folder, capture_output=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("warmstart --version >&-", 1, "Standard output cannot be written: it is closed."),
        ("warmstart --version > /dev/full", 1, "No space left on device."),
        ("warmstart generate nowhere /dev/null 2>&-", 1, ""),
        ("warmstart generate nowhere /dev/null >&- 2>&-", 1, ""),
        ("warmstart generate nowhere /dev/null 2> /dev/full", 1, ""),
        ("warmstart train pipe", 2, "pipe is a named pipe, not a file; give a recipe"),
        ("warmstart train /dev/zero", 2, "/dev/zero is a device, not a file; give a recipe"),
        ("warmstart train <(echo 'a: 1')", 2, "a"),
    ],
)
def test_streams(command: str, code: int, message: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = shell(command, tmp_path)
    assert done.returncode == code
    assert message.encode() in done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") == bool(message)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json",
                                  "README.md", "generation_config.json"])  # fmt: skip
def test_a_pipe_in_a_model_folder_holds_nothing_up(
    name: str, composed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in composed.iterdir():
        if path.name != name:
            (folder / path.name).symlink_to(path)
    os.mkfifo(folder / name)
    (tmp_path / "in.txt").write_text("the cat\n")
    done = shell("warmstart generate model in.txt --max-length 3", tmp_path)
    assert b"Traceback" not in done.stderr
    assert done.returncode == (0 if name in ("README.md", "generation_config.json") else 1)


def test_names_that_are_not_utf8(composed: Path, tmp_path: Path) -> None:
    (tmp_path / ODD).symlink_to(composed)
    (tmp_path / f"{ODD}.txt").write_text("the cat\n")
    good = shell(f"warmstart generate {composed} $'caf\\xe9.txt' --max-length 3", tmp_path)
    assert good.returncode == 0
    for command in ("inspect $'caf\\xe9'", "generate $'none\\xe9' /dev/null",
                    "generate x /dev/null $'--\\xe9'", "compose $'caf\\xe9' x -o y"):  # fmt: skip
        done = shell(f"warmstart {command}", tmp_path)
        assert done.returncode in (1, 2)
        assert b"Traceback" not in done.stderr
        assert b"\\udce9" in done.stderr
