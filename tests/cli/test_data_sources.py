"""Data in all its forms, as commands take it."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from tests.support.command_line import Finished

from warmstart.tasks.all_tasks import TASKS

Run = Callable[..., Finished]
ROWS = [{"article": "a b c", "highlights": "a b"}, {"article": "d e f", "highlights": "d e"}]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    path = tmp_path / "outputs.txt"
    path.write_text("a b\nd e\n", encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three forms of the same examples."""
    folder = tmp_path / "news"
    folder.mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), folder / "test.parquet")
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    packed = pyarrow.compress(lines, codec="zstd", asbytes=True)
    (folder / "dev.jsonl.zst").write_bytes(packed)
    return folder


def test_evaluate_takes_every_form(warmstart: Run, outputs: Path, folder: Path) -> None:
    for data in (folder, folder / "test.parquet", folder / "dev.jsonl.zst"):
        finished = warmstart(
            *("evaluate", "--predictions", outputs, "--data", data),
            *("--task", "summarization", "--metric", "rouge1", "--json"),
        )
        assert finished.code == 0, finished.err
        assert json.loads(finished.out)["scores"]["rouge1"]["value"] == 100
        assert "took the column 'article' as the source and 'highlights' as target" in finished.err


@pytest.mark.parametrize(
    ("task", "data", "words"),
    [
        ("wikisplit", "{}/test.parquet", ["data for summarization", "use the task summarization"]),
        ("wmt14/de-en", "{}", ["data for summarization, and the task takes data for translation"]),
        ("pairs", "hub:nobody/nothing", ["HF_HUB_OFFLINE is set", "give a local copy"]),
        ("xsum", "{}/nowhere.arrow", ["There is no file"]),
        ("xsum", "{}/test.parquet.xz", ["allowed are gzip (.gz) and zstd (.zst)"]),
    ],
)
def test_data_that_does_not_do(
    warmstart: Run, outputs: Path, folder: Path, task: str, data: str, words: list[str]
) -> None:
    finished = warmstart(
        *("evaluate", "--predictions", outputs, "--task", task, "--data", data.format(folder))
    )
    finished.assert_failed(1, *words)


def test_wrong_names(warmstart: Run, outputs: Path, folder: Path) -> None:
    begin = ("evaluate", "--predictions", outputs, "--data")
    warmstart(*begin, "hub:", "--task", "xsum").assert_failed(2, "give hub:NAME or hub:NAME:CONFIG")
    warmstart(*begin, folder, "--task", "wmt14/de-fr").assert_failed(2, "translation/de-fr")
    warmstart(*begin, folder, "--task", "xsumm").assert_failed(2, "did you mean 'xsum'?")


def test_tasks_are_listed_with_their_data_and_figures(warmstart: Run) -> None:
    listed = json.loads(warmstart("list", "tasks", "--json").out)
    for entry, task in zip(listed, TASKS, strict=True):
        assert entry["name"] == task.name
        assert entry["published"] == task.published
        assert entry["metrics"] == list(task.metrics)
        assert entry["generation"]["max_length"] == task.generation.max_length
        assert entry["hub"] == (None if task.origin.hub is None else task.origin.hub.name)
        assert [variant["name"] for variant in entry["variants"]] == [
            f"{task.name}/{variant}" for variant in task.variants
        ]
    text = warmstart("list", "tasks").out
    assert "hub:abisee/cnn_dailymail:3.0.0" in text
    assert "figures of 12 systems" in text
