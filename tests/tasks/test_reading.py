"""Large data is read once and found again; small data is read each time."""

import logging
import os
from pathlib import Path

import pytest

from warmstart.data import stored
from warmstart.data.example import Example
from warmstart.data.stored import StoredExamples
from warmstart.errors import DataError
from warmstart.tasks import reading
from warmstart.tasks.load import load_task


@pytest.fixture(autouse=True)
def small_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(reading, "_WORTH_A_DIGEST", 1)
    monkeypatch.setattr(stored.keep_examples, "__kwdefaults__", {"key": None, "in_memory": 10})


def write(path: Path, count: int, word: str = "target") -> Path:
    path.write_text("".join(f"source {i}\t{word} {i}\n" for i in range(count)), encoding="utf-8")
    return path


def test_large_data_lies_on_disk_and_is_found_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path / "a.tsv", 100)
    data = {"train": file, "validation": file, "test": file}
    first = load_task("pairs", data, limits={"test": 20})
    examples = first.split("train").examples
    assert isinstance(examples, StoredExamples)
    assert list(examples) == [Example(f"source {i}", (f"target {i}",)) for i in range(100)]
    assert len(first.split("test")) == 20
    with caplog.at_level(logging.INFO):
        second = load_task("pairs", data, limits={"test": 20})
    assert "train: found 100 cached examples" in caplog.text
    assert list(second.split("train").examples) == list(examples)
    assert list(second.split("test").examples) == list(first.split("test").examples)


def test_what_changed_is_read_again(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tsv", 100)

    def targets(**settings: object) -> list[str]:
        task = load_task("pairs", {"train": file, "validation": file}, **settings)  # type: ignore[arg-type]
        return [example.target for example in task.split("train").examples]

    before = targets()
    write(file, 100, word="other")
    os.utime(file, ns=(5, 5))
    assert targets() == [f"other {i}" for i in range(100)] != before
    assert targets(columns={"source": 2, "target": 1})[3] == "source 3"
    drawn = targets(fraction=0.5)
    assert set(drawn) < set(targets())
    assert targets(fraction=0.5, seed=1) != drawn
    assert targets(limits={"train": 7}) == [f"other {i}" for i in range(7)]


def test_a_validation_split_is_held_out_of_data_on_disk(tmp_path: Path) -> None:
    task = load_task("pairs", write(tmp_path / "a.tsv", 100), validation_size=10)
    train, validation = (set(task.split(name).examples) for name in ("train", "validation"))
    assert (len(train), len(validation)) == (90, 10)
    assert not train & validation


def test_mixed_and_parallel_files_are_found_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = write(tmp_path / "a.tsv", 60), write(tmp_path / "b.tsv", 50, word="b")
    data = {"train": [{"file": a, "weight": 2}, {"file": b, "weight": 1}], "validation": a}
    first = list(load_task("pairs", data).split("train").examples)
    with caplog.at_level(logging.INFO):
        assert list(load_task("pairs", data).split("train").examples) == first
    assert "train: found" in caplog.text
    data["train"] = [{"file": a, "weight": 1}, {"file": b, "weight": 1}]
    assert list(load_task("pairs", data).split("train").examples) != first


def test_bad_data_is_kept_by_nobody(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tsv", 100)
    with file.open("a") as opened:
        opened.write("only a source\n")
    for _ in range(2):
        with pytest.raises(DataError, match="line 101"):
            load_task("pairs", {"train": file, "test": file})
    assert not list((tmp_path / "cache").rglob("*.arrow"))


@pytest.mark.parametrize("validation", [True, False])
def test_duplicates_are_dropped_on_request(validation: bool, tmp_path: Path) -> None:
    """From memory as from disk; the limit counts what is left."""
    file = write(tmp_path / "a.tsv", 50)
    file.write_text(file.read_text() * 2)
    data = {"train": file, "validation": file} if validation else {"train": file}
    for limits in ({}, {"train": 30}):
        task = load_task("pairs", data, limits=limits, drop_duplicates=True)
        sources = [example.source for example in task.split("train").examples]
        assert (
            len(sources) == len(set(sources)) == (limits.get("train") or 50 - 5 * (not validation))
        )
    assert len(load_task("pairs", data).split("train")) == 100 - 10 * (not validation)
