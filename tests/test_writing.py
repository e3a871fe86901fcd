"""Atomic writes: complete under their name, or not there at all."""

import errno
import os
import resource
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from warmstart.cli.printing import write_json
from warmstart.errors import OutputError
from warmstart.evaluation.system_files import write_json_lines
from warmstart.writing import _exchange, _machine, atomic_file, atomic_folder, remove_leftovers

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
        "from warmstart.cli.printing import write_json; write_json(Path('a'), 'x' * LARGE)",
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


KILLED = """
import os, signal, sys
from pathlib import Path
from warmstart import writing
path, when = Path(sys.argv[1]), sys.argv[2]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if when == "while writing a file":
    with writing.atomic_file(path) as partial:
        partial.write_text("half")
        die()
if when == "between renames":
    writing._exchange = lambda *_: False
    rename = Path.rename
    def moved(self, target):
        done = rename(self, target)
        if self == path: die()
        return done
    Path.rename = moved
with writing.atomic_folder(path) as partial:
    (partial / "config.json").write_text("new")
    if when == "while writing": die()
    if when == "after the exchange": writing.shutil.rmtree = die
"""


def held(path: Path) -> str | None:
    file = path / "config.json" if path.is_dir() else path
    return file.read_text() if file.exists() else None


@pytest.mark.parametrize(
    ("when", "at_once", "later"),
    [
        ("while writing", "old", "old"),
        ("after the exchange", "new", "new"),
        ("between renames", None, "old"),
        ("while writing a file", "old", "old"),
    ],
)
def test_a_killed_write_leaves_one_or_the_other_and_the_next_tidies_up(
    when: str, at_once: str | None, later: str, tmp_path: Path
) -> None:
    path, file = tmp_path / "final", when == "while writing a file"
    if file:
        write(path, "old")
    else:
        path.mkdir()
        write(path / "config.json", "old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), when])
    assert killed.returncode == -9
    assert held(path) == at_once
    assert [*tmp_path.iterdir()] != [path], "something is left"
    remove_leftovers(path)
    assert held(path) == later
    assert [*tmp_path.iterdir()] == [path]
    with atomic_file(path) if file else atomic_folder(path) as partial:
        write(partial if file else partial / "config.json", "newest")
    assert held(path) == "newest"
    assert [*tmp_path.iterdir()] == [path]


def test_what_others_are_writing_stays(tmp_path: Path) -> None:
    ours = f".final.partial-{_machine()}-{os.getpid()}-abc"
    names = [ours, f".final.partial-{_machine()}-1-abc", ".final.partial-01234567-99999-abc",
             ".other.partial-x", "final.partial-x"]  # fmt: skip
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / ".final.old-01234567-1-long-ago").mkdir()
    os.utime(tmp_path / ".final.old-01234567-1-long-ago", (0, 0))
    remove_leftovers(tmp_path / "final")
    assert {path.name for path in tmp_path.iterdir()} == {*names}


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "a broken disk")])
def test_an_error_while_folders_change_places_leaves_one_of_them(
    exchanges: bool, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "final"
    for text in ("old", "new"):
        with atomic_folder(path) as partial:
            write(partial / "config.json", text)
    assert held(path) == "new", "a folder is replaced"
    rename = Path.rename
    if not exchanges:
        monkeypatch.setattr("warmstart.writing._exchange", lambda *_: False)

    def broken(self: Path, target: Path) -> Path:
        if target == path and ".partial-" in self.name:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    expected = "new" if not exchanges else "newest"
    try:
        with atomic_folder(path) as partial:
            write(partial / "config.json", "newest")
    except (KeyboardInterrupt, OutputError):
        assert not exchanges
    assert held(path) == expected
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_is_there_all_the_time(tmp_path: Path) -> None:
    path = tmp_path / "final"
    stop, missing = threading.Event(), []

    def watch() -> None:
        while not stop.is_set():
            if not (path / "config.json").is_file():
                missing.append(True)

    with atomic_folder(path) as partial:
        write(partial / "config.json", "0")
    other = tmp_path / "other"
    other.mkdir()
    if not _exchange(path, path):
        pytest.skip("this file system cannot exchange folders")
    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(200):
        with atomic_folder(path) as partial:
            write(partial / "config.json", str(number))
    stop.set()
    watcher.join()
    assert not missing
