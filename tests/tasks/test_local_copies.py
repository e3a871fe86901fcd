"""Each task's data in the form in which it is published, as files made here."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from tests.support.shared_data import shared_data

from warmstart.data.example import Example
from warmstart.errors import DataError
from warmstart.tasks.load import load_task

DISCOFUSE_HEADER = (
    "coherent_first_sentence\tcoherent_second_sentence\tincoherent_first_sentence\t"
    "incoherent_second_sentence\tdiscourse_type\tconnective_string\thas_coref_type_pronoun\t"
    "has_coref_type_nominal\n"
)
DISCOFUSE_ROWS = (
    "A fell , but B rose .\t\tA fell .\tB rose .\tPAIR_CONN\tbut\t0.0\t0.0\n",
    'A " fell .\tHowever , B rose .\tA " fell .\tB rose .\tPAIR_CONN\thowever\t1.0\t0.0\n',
)
FUSED = (
    Example("A fell . B rose .", ("A fell , but B rose .",)),
    Example('A " fell . B rose .', ('A " fell . However , B rose .',)),
)


def rows_parquet(path: Path, rows: list[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def rows_jsonl(path: Path, rows: list[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_discofuse(tmp_path: Path) -> None:
    text = DISCOFUSE_HEADER + "".join(DISCOFUSE_ROWS)
    for part in ("wikipedia", "sports"):
        folder = tmp_path / "discofuse_v1" / part
        folder.mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (folder / f"{split}.tsv").write_text(DISCOFUSE_HEADER, encoding="utf-8")
            (folder / f"{split}_balanced.tsv").write_text(text, encoding="utf-8")
    (tmp_path / "discofuse_v1" / "sports" / "test_balanced.tsv").write_text(
        DISCOFUSE_HEADER + DISCOFUSE_ROWS[1], encoding="utf-8"
    )
    task = load_task("discofuse", tmp_path)
    assert list(task.splits) == ["train", "validation", "test"]
    assert tuple(task.split("test").examples) == FUSED
    assert tuple(load_task("discofuse/sports", tmp_path).split("test").examples) == FUSED[1:]
    file = tmp_path / "discofuse_v1" / "wikipedia" / "test_balanced.tsv"
    assert tuple(load_task("discofuse", {"test": file}).split("test").examples) == FUSED


def test_discofuse_as_the_hub_has_it(tmp_path: Path) -> None:
    names = DISCOFUSE_HEADER.strip("\n").split("\t")
    rows = [dict(zip(names, row.strip("\n").split("\t"), strict=True)) for row in DISCOFUSE_ROWS]
    rows_parquet(tmp_path / "discofuse-wikipedia" / "test-00000-of-00001.parquet", rows)
    assert tuple(load_task("discofuse", tmp_path).split("test").examples) == FUSED


def test_wikisplit_as_the_hub_has_it(tmp_path: Path) -> None:
    row = {
        "complex_sentence": "A and b .",
        "simple_sentence_1": "A . ",
        "simple_sentence_2": " B .",
    }
    rows_parquet(tmp_path / "default" / "test" / "0000.parquet", [row])
    examples = load_task("wikisplit", tmp_path / "default").split("test").examples
    assert tuple(examples) == (Example("A and b .", ("A . B .",)),)


def test_the_published_wikisplit_folder() -> None:
    task = load_task("wikisplit", shared_data("wikisplit"))
    assert {name: len(split) for name, split in task.splits.items()} == {"validation": 5000}


@pytest.mark.parametrize("pair", ["en-de", "de-en"])
def test_wmt14(tmp_path: Path, pair: str) -> None:
    rows = [{"translation": {"de": "ein Haus", "en": "a house"}}]
    expected = Example("a house", ("ein Haus",))
    if pair == "de-en":
        expected = Example("ein Haus", ("a house",))
    rows_parquet(tmp_path / "hub" / "de-en" / "test-00000-of-00001.parquet", rows)
    rows_jsonl(tmp_path / "lines" / "test.jsonl", rows)
    (tmp_path / "text").mkdir()
    for language, text in rows[0]["translation"].items():
        (tmp_path / "text" / f"test.{language}").write_text(f"{text}\n", encoding="utf-8")
    for copy in ("hub", "lines", "text"):
        split = load_task(f"wmt14/{pair}", tmp_path / copy).split("test")
        assert tuple(split.examples) == (expected,)
        assert split.generation.num_beams == 4
    files = [tmp_path / "text" / f"test.{language}" for language in pair.split("-")]
    assert tuple(load_task(f"wmt14/{pair}", {"test": files}).split("test").examples) == (expected,)


def test_newstest_as_parallel_files() -> None:
    files = [shared_data("newstest", f"newstest2013.{side}.gz") for side in ("eng", "deu")]
    split = load_task("wmt14", {"validation": files}).split("validation")
    assert len(split) == 3000
    sources = gzip.decompress(files[0].read_bytes()).decode().split("\n")
    assert list(split.sources) == sources[:3000]


@pytest.mark.parametrize(("source", "target"), [("src", "tgt"), ("article", "title")])
def test_gigaword(tmp_path: Path, source: str, target: str) -> None:
    folder = tmp_path / "org_data"
    folder.mkdir()
    for name in ("train", "dev", "test"):
        (folder / f"{name}.{source}.txt").write_text("the UNK rose #.# %\n", encoding="utf-8")
        (folder / f"{name}.{target}.txt").write_text("unk rises\n", encoding="utf-8")
    task = load_task("gigaword", tmp_path)
    assert list(task.splits) == ["train", "validation", "test"]
    for split in task.splits.values():
        assert tuple(split.examples) == (Example("the UNK rose #.# %", ("unk rises",)),)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("cnn_dailymail", {"article": "a", "highlights": "b\nc", "id": "1"}),
        ("xsum", {"document": "a\nd", "summary": "b", "id": "1"}),
        ("gigaword", {"document": "a", "summary": "b"}),
    ],
)
def test_news(tmp_path: Path, name: str, row: dict[str, str]) -> None:
    source, target, *_ = row.values()
    rows_parquet(tmp_path / "hub" / "train-00000-of-00001.parquet", [row, row])
    rows_parquet(tmp_path / "hub" / "validation-00000-of-00001.parquet", [row])
    rows_jsonl(tmp_path / "lines" / "validation.jsonl", [row])
    rows_jsonl(tmp_path / "lines" / "test.jsonl", [row])
    for copy in ("hub", "lines"):
        examples = load_task(name, tmp_path / copy).split("validation").examples
        assert tuple(examples) == (Example(source, (target,)),)


def test_scitldr_as_summarization() -> None:
    path = shared_data("scitldr", "SciTLDR-A.dev.jsonl.gz")
    split = load_task("summarization", {"test": path}).split("test")
    assert len(split) == 619
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert split.references == tuple(tuple(row["target"]) for row in rows)
    assert split.sources[7] == " ".join(rows[7]["source"])
    assert max(map(len, split.references)) > 1


def test_multi30k_folder_in_both_directions() -> None:
    folder = shared_data("multi30k")
    there = load_task("translation/en-de", folder, limits={"train": 50})
    back = load_task("translation/de-en", folder, limits={"train": 50})
    assert [len(split) for split in there.splits.values()] == [50, 1014, 1000]
    assert there.split("test").sources == tuple(
        references[0] for references in back.split("test").references
    )
    with pytest.raises(DataError, match=r"No file in .* has train, validation or test in its name"):
        load_task("translation", folder)


def test_a_correction_file_with_several_references(tmp_path: Path) -> None:
    rows = [{"sentence": "He go .", "corrections": ["He goes .", "He went ."]}]
    rows_jsonl(tmp_path / "test.jsonl", rows)
    split = load_task("correction", tmp_path).split("test")
    assert split.references == (("He goes .", "He went ."),)


def test_jfleg_as_it_is_published(tmp_path: Path) -> None:
    for name, text in {"src": "s", **{f"ref{number}": f"r{number}" for number in range(4)}}.items():
        (tmp_path / f"dev.{name}").write_text(f"{text}\n", encoding="utf-8")
    split = load_task("correction", tmp_path).split("validation")
    assert tuple(split.examples) == (Example("s", ("r0", "r1", "r2", "r3")),)
