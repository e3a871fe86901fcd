"""Data sets by name, without a network: what the hub gives is made here."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from warmstart.data import hub_datasets
from warmstart.data.example import Example
from warmstart.data.read import read_examples, split_sources
from warmstart.errors import DataError
from warmstart.tasks.all_tasks import get_task_definition
from warmstart.tasks.load import load_task

ROWS = [{"document": "a", "summary": "b", "id": "1"}, {"document": "c", "summary": "d", "id": "2"}]
Load = Callable[..., Any]


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    hub_datasets._load_hub.cache_clear()
    yield
    hub_datasets._load_hub.cache_clear()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A hub that has three splits of everything, and what it was asked for."""
    asked: list[dict[str, Any]] = []

    def load(name: str, config: str | None = None, **others: Any) -> datasets.DatasetDict:
        asked.append({"name": name, "config": config, **others})
        splits = {"train": ROWS * 10, "validation": ROWS, "test": ROWS[1:]}
        return datasets.DatasetDict(
            {split: datasets.Dataset.from_list(rows) for split, rows in splits.items()}
        )

    monkeypatch.setattr(datasets, "load_dataset", load)
    return asked


def fails_with(error: Exception) -> Load:
    def load(*_: Any, **__: Any) -> None:
        raise error

    return load


def test_a_task_has_data_of_its_own(calls: list[dict[str, Any]]) -> None:
    task = load_task("xsum")
    assert {name: len(split) for name, split in task.splits.items()} == {
        "train": 20,
        "validation": 2,
        "test": 1,
    }
    assert task.split("test").examples[0] == Example("c", ("d",))
    assert calls == [{"name": "EdinburghNLP/xsum", "config": None}]


def test_the_configuration_of_a_task(calls: list[dict[str, Any]]) -> None:
    load_task("cnn_dailymail", limits={"train": 3})
    load_task("cnn_dailymail", {"test": "hub:abisee/cnn_dailymail"})
    load_task("cnn_dailymail", {"test": "hub:abisee/cnn_dailymail:1.0.0"})
    load_task("cnn_dailymail", {"test": "hub:else/where"})
    assert [(call["name"], call["config"]) for call in calls] == [
        ("abisee/cnn_dailymail", "3.0.0"),
        ("abisee/cnn_dailymail", "1.0.0"),
        ("else/where", None),
    ]


def test_a_name_as_the_whole_data(calls: list[dict[str, Any]]) -> None:
    task = load_task("summarization", "hub:some/news:big", limits={"train": 3})
    assert [len(split) for split in task.splits.values()] == [3, 2, 1]
    assert calls == [{"name": "some/news", "config": "big"}]


def test_a_split_of_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made = datasets.DatasetDict(
        {
            split: datasets.Dataset.from_list(ROWS[:count])
            for split, count in (("train_sft", 2), ("val", 1))
        }
    )
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: made)
    assert split_sources("hub:a/b") == {"validation": {"file": "hub:a/b", "split": "val"}}
    assert len(list(read_examples("hub:a/b", split="validation"))) == 1
    assert len(list(read_examples({"file": "hub:a/b", "split": "train_sft"}))) == 2
    with pytest.raises(DataError, match="hub:a/b has no split 'train'; did you mean 'train_sft'"):
        list(read_examples("hub:a/b"))
    del made["val"]
    hub_datasets._load_hub.cache_clear()
    with pytest.raises(DataError, match=r"has the splits train_sft; say which to take, for"):
        split_sources("hub:a/b")


def test_examples_can_be_read_again(calls: list[dict[str, Any]]) -> None:
    examples = read_examples("hub:some/news")
    assert list(examples) == list(examples)
    assert len(calls) == 1


def test_a_data_set_that_is_a_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The hub's conversion has a folder for each configuration and split.
    for split in ("train", "test"):
        folder = tmp_path / "default" / split
        folder.mkdir(parents=True)
        datasets.Dataset.from_list(ROWS).to_parquet(folder / "0000.parquet")
    original = datasets.load_dataset

    def load(
        name: str, config: str | None = None, *, data_dir: str = "", revision: str = ""
    ) -> Any:
        if not revision:
            raise RuntimeError("Dataset scripts are no longer supported, but found gigaword.py")
        assert (name, revision) == ("Harvard/gigaword", "refs/convert/parquet")
        return original(str(tmp_path), data_dir=data_dir, cache_dir=str(tmp_path / "cache"))

    monkeypatch.setattr(datasets, "load_dataset", load)
    task = load_task("gigaword", {"test": "hub:Harvard/gigaword"})
    assert task.split("test").sources == ("a", "c")


@pytest.mark.parametrize("offline", [True, False])
def test_the_hub_is_out_of_reach(monkeypatch: pytest.MonkeyPatch, offline: bool) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(datasets, "load_dataset", fails_with(ConnectionError("no route\nat all")))
    with pytest.raises(DataError) as raised:
        load_task("xsum")
    text = str(raised.value)
    assert (
        "hub:EdinburghNLP/xsum cannot be fetched from the hub (ConnectionError: no route)" in text
    )
    assert ("HF_HUB_OFFLINE is set" in text) == offline
    assert ("check its name and the network" in text) != offline
    assert "or give a local copy: data=FOLDER" in text


def test_offline_without_a_copy() -> None:
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set, and the cache has no copy"):
        list(read_examples("hub:nobody/nothing-at-all"))


def test_a_configuration_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ValueError("BuilderConfig 'x' not found. Available: ['y']")
    monkeypatch.setattr(datasets, "load_dataset", fails_with(error))
    with pytest.raises(DataError, match=r"hub:a/b:x cannot be loaded: .*Available: \['y'\]"):
        list(read_examples("hub:a/b:x"))


def test_what_a_hub_copy_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    made = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"document": []})})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: made)
    with pytest.raises(DataError, match="hub:a/b, split train has no rows"):
        list(read_examples("hub:a/b"))
    made["train"] = datasets.Dataset.from_list([{"text": "a"}, {"text": "b"}])
    with pytest.raises(DataError, match="hub:a/b, split train has the columns text, and no pair"):
        list(read_examples("hub:a/b"))
    rows = [{"source": "a", "target": "b"}, {"source": "c", "target": None}]
    made["train"] = datasets.Dataset.from_list(rows)
    with pytest.raises(DataError, match="split train, row 2: the column 'target' is empty"):
        list(read_examples("hub:a/b"))


def test_folders_that_datasets_saved(tmp_path: Path) -> None:
    rows = [{"document": f"a{n}", "summary": "b"} for n in range(10)]
    one = datasets.Dataset.from_list(rows)
    one.save_to_disk(tmp_path / "one")
    splits = {"train": one, "dev": datasets.Dataset.from_list(ROWS).shuffle(seed=1)}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "several")
    task = load_task("xsum", tmp_path / "one")
    assert {name: len(split) for name, split in task.splits.items()} == {
        "train": 9,
        "validation": 1,
    }
    task = load_task("xsum", str(tmp_path / "several"))
    assert {name: len(split) for name, split in task.splits.items()} == {
        "train": 10,
        "validation": 2,
    }
    assert len(load_task("xsum", {"test": tmp_path / "one"}).split("test")) == 10
    with pytest.raises(DataError, match="several has no split 'test'; Allowed: train, dev"):
        load_task("xsum", {"test": tmp_path / "several"})


def test_a_damaged_folder_that_datasets_saved(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "one")
    (path,) = (tmp_path / "one").glob("*.arrow")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match=r"is not a complete data set of datasets\.save_to_disk"):
        load_task("xsum", tmp_path / "one")
    (tmp_path / "one" / "state.json").write_text(json.dumps([]), encoding="utf-8")
    with pytest.raises(DataError, match=r"is not a complete data set of datasets\.save_to_disk"):
        load_task("xsum", tmp_path / "one")


def test_what_the_hub_has_is_not_what_figures_are_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "incoherent_first_sentence": "A .",
        "incoherent_second_sentence": "B .",
        "coherent_first_sentence": "A and B .",
        "coherent_second_sentence": "",
    }
    monkeypatch.setattr(
        datasets,
        "load_dataset",
        lambda *_: datasets.DatasetDict({"train": datasets.Dataset.from_list([row])}),
    )
    examples = get_task_definition("discofuse").read("hub:google-research-datasets/discofuse")
    assert list(examples) == [Example("A . B .", ("A and B .",))]
    assert "discofuse-wikipedia: this is the whole corpus, not the balanced part" in caplog.text
