"""Processes that are started: they import no module of the working folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from warmstart.inference.compiled_steps import worker_command, worker_environment

# What Python, the processes of multiprocessing and the compiler import first.
NAMES = ("multiprocessing", "torch", "warmstart", "pickle", "struct", "random", "signal",
         "sitecustomize", "json", "tokenizers", "numpy")  # fmt: skip


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    folder = tmp_path / "working"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\nraise SystemExit({name!r})\n"
        )
    return folder


def test_the_trap_works(trap: Path) -> None:
    subprocess.run([sys.executable, "-m", "warmstart"], cwd=trap, capture_output=True)
    assert (trap.parent / "ran").exists()


@pytest.mark.slow
def test_processes_of_bulk_generation(trap: Path, composed: Path) -> None:
    (trap / "in.txt").write_text("the cat\nthe dog\n")
    command = Path(sys.executable).with_name("warmstart")
    done = subprocess.run(
        [command, "generate", composed, "in.txt", "--output", "out.txt",
         "--processes", "2", "--max-length", "4"],
        cwd=trap, capture_output=True, text=True,
    )  # fmt: skip
    assert not (trap.parent / "ran").exists()
    assert done.returncode == 0, done.stderr
    assert len((trap / "out.txt").read_text().splitlines()) == 2


@pytest.mark.slow
def test_the_process_that_compiles(trap: Path) -> None:
    done = subprocess.run(
        worker_command("key"), cwd=trap, env=worker_environment(), input=b"", capture_output=True
    )
    assert not (trap.parent / "ran").exists()
    assert b"torch.load(sys.stdin.buffer" in done.stderr, "it came as far as its request"


def test_the_compilers_files_are_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    folder = worker_environment()["TORCHINDUCTOR_CACHE_DIR"]
    assert Path(folder).parent == Path(os.environ["WARMSTART_CACHE"])
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/chosen")
    assert worker_environment()["TORCHINDUCTOR_CACHE_DIR"] == "/chosen"
