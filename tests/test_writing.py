"""Atomic writes: complete under their name, or not there at all."""

import errno
import os
import resource
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from warmstart.cli.output import write_json
from warmstart.errors import OutputError
from warmstart.evaluation.system_files import write_json_lines
from warmstart.writing import atomic_file, atomic_folder

LARGE = 1 << 20  # bytes, more than a limit of 4096 lets be written


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    write(path, "before")
    with atomic_file(path) as partial:
        write(partial, "after")
        assert path.read_text() == "before"
        assert partial.suffix == ".json"
    assert path.read_text() == "after"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("of the writer")])
@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_an_interrupted_write_changes_nothing(
    atomic: "type[AbstractContextManager[Path]]", error: BaseException, tmp_path: Path
) -> None:
    with pytest.raises(type(error)), atomic(tmp_path / "name"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"none/a cannot be written: No such file .* Check the"),
        atomic_file(tmp_path / "none" / "a"),
    ):
        pytest.fail("there is no folder to write to")
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(OutputError, match=r"a cannot be written: the disk is full\. Free some"),
        atomic_file(tmp_path / "a"),
    ):
        raise full
    with (
        pytest.raises(OutputError, match=r"a cannot be written: the disk is full\. Set A_VARIABLE"),
        atomic_file(tmp_path / "a", hint="Set A_VARIABLE."),
    ):
        raise full


def limited_file_size() -> None:
    """As a full disk: the system refuses to write more."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


@pytest.mark.parametrize(
    "code",
    [
        "from warmstart.cli.output import write_json; write_json(Path('a'), 'x' * LARGE)",
        "from warmstart.evaluation.system_files import write_json_lines\n"
        "write_json_lines(Path('a'), [{'x': 'x' * LARGE}])",
        "from warmstart.writing import atomic_folder\n"
        "with atomic_folder(Path('a')) as folder: (folder / 'b').write_text('x' * LARGE)",
    ],
)
def test_nothing_is_left_where_the_system_stops_writing(code: str, tmp_path: Path) -> None:
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            "import signal; from pathlib import Path\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error in place of the signal\n"
            f"LARGE = {LARGE}\n{code}",
        ],
        cwd=tmp_path,
        preexec_fn=limited_file_size,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert "OutputError: a cannot be written: File too large" in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_files_are_flushed_before_they_get_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, int]] = []
    fsync, replace, rename = os.fsync, Path.replace, Path.rename

    def noted_fsync(descriptor: int) -> None:
        events.append(("fsync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        events.append(("rename", self.stat().st_ino))
        return replace(self, target)

    def noted_rename(self: Path, target: Path) -> Path:
        events.append(("rename", self.stat().st_ino))
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    monkeypatch.setattr(Path, "rename", noted_rename)
    with atomic_file(tmp_path / "a") as partial:
        write(partial, "text")
    inode = (tmp_path / "a").stat().st_ino
    parent = tmp_path.stat().st_ino
    assert events == [("fsync", inode), ("rename", inode), ("fsync", parent)]
    events.clear()
    with atomic_folder(tmp_path / "b") as folder:
        write(folder / "inside", "text")
    inside, inode = ((tmp_path / name).stat().st_ino for name in ("b/inside", "b"))
    assert events == [
        ("fsync", inside),
        ("fsync", inode),
        ("rename", inode),
        ("fsync", parent),
    ]


def test_what_is_written_for_machines(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": 1})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "é": 1\n}\n'.encode()
    write_json_lines(tmp_path / "a.jsonl", [{"é": 1}, {"b": None}])
    assert (tmp_path / "a.jsonl").read_bytes() == '{"é": 1}\n{"b": null}\n'.encode()
