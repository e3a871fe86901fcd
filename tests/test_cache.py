"""The cache: what is found there is used only where nobody else can have put it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from warmstart.cache import cache_path, cached_file, distrust, file_digest, fingerprint


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def note_of(path: Path, folder: Path) -> Path:
    file_digest(path)
    (note,) = (folder / "files").iterdir()
    return note


@pytest.mark.parametrize(
    "text", ["", "\0" * 32, "0" * 31, "0" * 33, "G" * 32, "0" * 32 + "\n", "ü" * 32]
)
def test_a_note_of_another_form_is_ignored(text: str, tmp_path: Path, folder: Path) -> None:
    """A power cut leaves empty files, and files of zeros."""
    for name in "ab":
        (tmp_path / name).write_text(name)
    true = file_digest(tmp_path / "a")
    note_of(tmp_path / "a", folder).write_text(text)
    assert file_digest(tmp_path / "a") == true
    assert file_digest(tmp_path / "a") != file_digest(tmp_path / "b")


def _replace_by_link(file: Path) -> None:
    file.rename(file.with_name("x"))
    file.symlink_to(file.with_name("x"))


ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
CHANGES: list[tuple[str, Callable[[Path, Path], object]]] = [
    ("can be written", lambda file, _: file.chmod(0o666)),
    ("can be written", lambda file, _: file.chmod(0o664)),
    ("can be written", lambda file, _: file.parent.chmod(0o777)),
    ("can be written", lambda file, _: file.parent.chmod(0o1777)),
    ("can be written", lambda _, folder: folder.chmod(0o775)),
    ("can be written", lambda _, folder: folder.parent.chmod(0o777)),
    ("is not a file", lambda file, _: _replace_by_link(file)),
]


@pytest.mark.parametrize(("why", "change"), CHANGES)
def test_what_others_may_write_is_not_trusted(
    why: str, change: Callable[[Path, Path], object], folder: Path
) -> None:
    file = cached_file("compiled", "key", lambda path: path.write_text("code"), ".pt2")
    assert distrust(file) is None
    change(file, folder)
    found = distrust(file)
    assert found is not None
    assert why in found


@ROOT
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_what_belongs_to_others_is_not_trusted(depth: int) -> None:
    file = cached_file("compiled", "key", lambda path: path.write_text("code"), ".pt2")
    os.chown([file, *file.parents][depth], 65534, 65534)
    found = distrust(file)
    assert found is not None
    assert "belongs to another user" in found


@ROOT
def test_a_note_of_another_user_is_not_read(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a").write_text("a")
    note = note_of(tmp_path / "a", folder)
    true = note.read_text()
    note.write_text("0" * 32)
    assert file_digest(tmp_path / "a") == "0" * 32, "its own notes are read"
    os.chown(note, 65534, 65534)
    assert file_digest(tmp_path / "a") == true


def test_folders_are_the_users_own_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        file = cached_file("compiled", "key", lambda path: path.write_text("code"), ".pt2")
    finally:
        os.umask(before)
    for each in (folder, file.parent):
        assert not stat.S_IMODE(each.stat().st_mode) & 0o022
    assert distrust(file) is None
    assert file == cache_path("compiled", "key", ".pt2")
    assert len(fingerprint("a")) == 32
