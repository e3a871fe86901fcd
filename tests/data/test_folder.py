import re
import shutil
from pathlib import Path

import pytest
from tests.support.shared_data import shared_data

from warmstart.data.folder import folder_splits
from warmstart.data.origin import Origin
from warmstart.errors import DataError
from warmstart.tasks.all_tasks import get_task_definition

Names = dict[str, list[str]]


def splits_of(folder: Path, names: str, origin: Origin | None = None) -> Names:
    """The names of each split's files, in a folder that has those."""
    for name in names.split():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")
    found = folder_splits(folder, Origin() if origin is None else origin)
    return {
        split: [str(path.relative_to(folder)) for path in files.files]
        for split, files in found.items()
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("train.tsv", {"train": ["train.tsv"]}),
        (
            "train.jsonl.gz valid.parquet test.csv.zst README.md",
            {
                "train": ["train.jsonl.gz"],
                "validation": ["valid.parquet"],
                "test": ["test.csv.zst"],
            },
        ),
        ("dev.json test.json", {"validation": ["dev.json"], "test": ["test.json"]}),
        ("my-data_val.tsv", {"validation": ["my-data_val.tsv"]}),
        ("trainer.tsv latest.tsv train.tsv", {"train": ["train.tsv"]}),
        (
            "train-00001-of-00002.parquet train-00000-of-00002.parquet test-00000-of-00001.parquet",
            {
                "train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
                "test": ["test-00000-of-00001.parquet"],
            },
        ),
        (
            "data/train-00000-of-00001-0123456789abcdef.parquet README.md",
            {"train": ["data/train-00000-of-00001-0123456789abcdef.parquet"]},
        ),
        (
            "train/0000.parquet train/0001.parquet validation/0000.parquet",
            {
                "train": ["train/0000.parquet", "train/0001.parquet"],
                "validation": ["validation/0000.parquet"],
            },
        ),
        ("tune.tsv validation.tsv", {"validation": ["validation.tsv"]}),
        ("tune.tsv train.tsv", {"train": ["train.tsv"], "validation": ["tune.tsv"]}),
        ("train.tsv train_small.tsv", {"train": ["train.tsv"]}),
        ("train.source train.target", {"train": ["train.source", "train.target"]}),
        ("val.src.txt.gz val.tgt.txt.gz", {"validation": ["val.src.txt.gz", "val.tgt.txt.gz"]}),
        (".train.tsv test.tsv", {"test": ["test.tsv"]}),
    ],
)
def test_names(tmp_path: Path, names: str, expected: Names) -> None:
    assert splits_of(tmp_path, names) == expected


@pytest.mark.parametrize(
    ("task", "names", "expected"),
    [
        ("wikisplit", "train.tsv tune.tsv validation.tsv test.tsv README.md", "train validation"),
        (
            "translation/de-en",
            "train.de train.en",
            {"train": ["train.de", "train.en"]},
        ),
        ("translation/zh_CN-de", "dev.zh_CN dev.de", {"validation": ["dev.zh_CN", "dev.de"]}),
        ("translation/en-de", "train.de train.en", {"train": ["train.en", "train.de"]}),
        (
            "wmt14/fr-en",
            "fr-en/test-00000-of-00001.parquet de-en/test-00000-of-00001.parquet",
            {"test": ["fr-en/test-00000-of-00001.parquet"]},
        ),
        (
            "discofuse",
            "train.tsv train_balanced.tsv dev.tsv dev_balanced.tsv",
            {"train": ["train_balanced.tsv"], "validation": ["dev_balanced.tsv"]},
        ),
        (
            "discofuse/sports",
            "discofuse_v1/sports/train_balanced.tsv discofuse_v1/wikipedia/train_balanced.tsv",
            {"train": ["discofuse_v1/sports/train_balanced.tsv"]},
        ),
        (
            "discofuse/sports",
            "discofuse-sport/train-00000-of-00001.parquet",
            {"train": ["discofuse-sport/train-00000-of-00001.parquet"]},
        ),
        (
            "gigaword",
            "org_data/train.src.txt org_data/train.tgt.txt org_data/dev.src.txt "
            "org_data/dev.tgt.txt",
            {
                "train": ["org_data/train.src.txt", "org_data/train.tgt.txt"],
                "validation": ["org_data/dev.src.txt", "org_data/dev.tgt.txt"],
            },
        ),
        (
            "gigaword",
            "train.article.txt train.title.txt valid.article.filter.txt valid.title.filter.txt",
            {
                "train": ["train.article.txt", "train.title.txt"],
                "validation": ["valid.article.filter.txt", "valid.title.filter.txt"],
            },
        ),
        (
            "cnn_dailymail",
            "3.0.0/train-00000-of-00001.parquet 2.0.0/train-00000-of-00001.parquet",
            {"train": ["3.0.0/train-00000-of-00001.parquet"]},
        ),
        ("xsum", "test.document test.summary", {"test": ["test.document", "test.summary"]}),
        (
            "simplification",
            "asset.test.orig asset.test.simp.10 asset.test.simp.9 asset.test.simp.0",
            {
                "test": [
                    "asset.test.orig",
                    "asset.test.simp.0",
                    "asset.test.simp.9",
                    "asset.test.simp.10",
                ]
            },
        ),
    ],
)
def test_published_copies(tmp_path: Path, task: str, names: str, expected: Names | str) -> None:
    found = splits_of(tmp_path, names, get_task_definition(task).origin)
    if isinstance(expected, str):
        assert list(found) == [*expected.split(), "test"]
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("", "holds nothing"),
        ("a.tsv notes.txt", "holds a.tsv, notes.txt. Name the files"),
        ("train.txt", "No file in"),
        (
            "test_2016.tsv test_2017.tsv",
            "several files with test in their name: test_2016.tsv, test_2017.tsv; give one of them",
        ),
        ("train.tsv train.csv", "several files with train in their name: train.csv, train.tsv"),
        ("train_a.src train_b.src train_a.tgt train_b.tgt", "several files with train"),
    ],
)
def test_what_is_not_found(tmp_path: Path, names: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        splits_of(tmp_path, names)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no folder"):
        folder_splits(tmp_path / "nowhere", Origin())


def test_multi30k_and_turkcorpus_as_they_are_published(tmp_path: Path) -> None:
    origin = get_task_definition("translation/en-de").origin
    found = folder_splits(shared_data("multi30k"), origin)
    assert {split: [path.name for path in files.files] for split, files in found.items()} == {
        "train": ["train.en.gz", "train.de.gz"],
        "validation": ["val.en.gz", "val.de.gz"],
        "test": ["test_2016_flickr.en.gz", "test_2016_flickr.de.gz"],
    }
    found = folder_splits(shared_data("turkcorpus"), get_task_definition("simplification").origin)
    assert list(found) == ["test"]
    assert [path.name.split(".")[3] for path in found["test"].files] == ["norm", *["turk"] * 8]
    copy = tmp_path / "turk"
    shutil.copytree(shared_data("turkcorpus"), copy)
    (copy / "test.8turkers.tok.turk.10.gz").write_bytes(b"")
    found = folder_splits(copy, get_task_definition("simplification").origin)
    assert found["test"].files[-1].name == "test.8turkers.tok.turk.10.gz"
