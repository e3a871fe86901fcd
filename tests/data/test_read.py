"""Whatever users give as data, from files to examples."""

import gzip
import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.shared_data import shared_data

from warmstart.data.columns import ColumnMapping
from warmstart.data.example import Example
from warmstart.data.origin import Origin
from warmstart.data.read import read_examples, split_sources
from warmstart.data.skipped_rows import SkippedRows
from warmstart.errors import DataError, UsageError

# Texts that every format can hold: no line breaks, no tabs, not blank.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).filter(
    lambda text: bool(text.strip())
)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8)
Pairs = list[tuple[str, str]]


def write_tsv(path: Path, pairs: Pairs) -> None:
    lines = ["source\ttarget", *(f"{source}\t{target}" for source, target in pairs)]
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def write_json_lines(path: Path, pairs: Pairs) -> None:
    rows = (json.dumps({"source": source, "target": target}) for source, target in pairs)
    path.write_bytes("".join(f"{row}\n" for row in rows).encode())


def write_gzip(path: Path, pairs: Pairs) -> None:
    write_json_lines(path, pairs)
    path.write_bytes(gzip.compress(path.read_bytes()))


def write_zstd(path: Path, pairs: Pairs) -> None:
    write_tsv(path, pairs)
    path.write_bytes(pyarrow.compress(path.read_bytes(), codec="zstd", asbytes=True))


def table(pairs: Pairs) -> pyarrow.Table:
    sources, targets = map(list, zip(*pairs, strict=True))
    return pyarrow.table({"source": sources, "target": targets})


def write_parquet(path: Path, pairs: Pairs) -> None:
    pyarrow.parquet.write_table(table(pairs), path)


def write_arrow(path: Path, pairs: Pairs) -> None:
    with pyarrow.ipc.new_stream(path, table(pairs).schema) as writer:
        writer.write_table(table(pairs))


WRITERS: dict[str, Callable[[Path, Pairs], None]] = {
    "a.tsv": write_tsv,
    "a.jsonl": write_json_lines,
    "a.json.gz": write_gzip,
    "a.tsv.zst": write_zstd,
    "a.parquet": write_parquet,
    "a.arrow": write_arrow,
}
EVERY_FORMAT = pytest.mark.parametrize("name", WRITERS)


@EVERY_FORMAT
@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pairs=PAIRS)
def test_every_format_holds_the_same_and_can_be_read_again(
    tmp_path: Path, name: str, pairs: Pairs
) -> None:
    path = tmp_path / name
    WRITERS[name](path, pairs)
    examples = read_examples(path)
    expected = [Example(source, (target,)) for source, target in pairs]
    assert list(examples) == list(examples) == expected


@EVERY_FORMAT
def test_readers_hold_little_of_a_large_file(tmp_path: Path, name: str) -> None:
    choice = random.Random(0)
    pairs = [(choice.randbytes(150).hex(), choice.randbytes(50).hex()) for _ in range(10_000)]
    WRITERS[name](tmp_path / name, pairs)  # 4 MB
    next(iter(read_examples(tmp_path / name)))  # what is imported on the way is no data
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_examples(tmp_path / name))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == len(pairs)
    assert peak < 2_500_000


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.tsv", tmp_path / "b.jsonl"
    write_tsv(paths[0], [(f"a{n}", "x") for n in range(300)])
    write_json_lines(paths[1], [(f"b{n}", "y") for n in range(30)])
    return paths


def letters(examples: Iterator[Example]) -> Counter[str]:
    return Counter(example.source[0] for example in examples)


def test_files_without_weights_come_one_after_the_other(two: tuple[Path, Path]) -> None:
    examples = list(read_examples([{"file": path} for path in two]))
    assert [example.source for example in examples] == [
        *(f"a{n}" for n in range(300)),
        *(f"b{n}" for n in range(30)),
    ]


def test_files_with_weights_are_mixed(two: tuple[Path, Path]) -> None:
    data = [{"file": two[0], "weight": 2}, {"file": str(two[1]), "weight": 1}]
    examples = read_examples(data, seed=5)
    order = list(examples)
    assert order == list(examples)
    assert order != list(read_examples(data, seed=6))
    counts = letters(iter(order))
    assert counts["a"] == 300
    assert 110 < counts["b"] < 200  # 150 on average
    assert {example.source for example in order} == {
        *(f"a{n}" for n in range(300)),
        *(f"b{n}" for n in range(30)),
    }


def test_each_file_may_have_columns_of_its_own(tmp_path: Path, two: tuple[Path, Path]) -> None:
    (tmp_path / "c.csv").write_text("p,q\na,b\n", encoding="utf-8")
    own = {"file": tmp_path / "c.csv", "columns": {"source": "q", "target": "p"}}
    assert next(iter(read_examples([own, {"file": two[0]}]))) == Example("b", ("a",))
    assert len(list(read_examples([own, {"file": two[0]}]))) == 301
    told = {"source": "target", "target": "source"}
    assert list(read_examples([own, {"file": two[1]}], told))[:2] == [
        Example("b", ("a",)),
        Example("y", ("b0",)),
    ]


def test_one_empty_file_among_several(tmp_path: Path, two: tuple[Path, Path]) -> None:
    (tmp_path / "c.tsv").write_bytes(b"")
    for weights in ({}, {"weight": 1}):
        parts = [{"file": path, **weights} for path in (*two, tmp_path / "c.tsv")]
        with pytest.raises(DataError, match=r"c\.tsv is empty"):
            list(read_examples(parts))


def test_a_folder_as_data(tmp_path: Path) -> None:
    write_tsv(tmp_path / "train.tsv", [("a", "b"), ("c", "d")])
    write_parquet(tmp_path / "dev.parquet", [("e", "f")])
    sources = split_sources(tmp_path, Origin())
    assert sources == {"train": tmp_path, "validation": tmp_path}
    assert len(list(read_examples(sources["train"], split="train"))) == 2
    assert list(read_examples(tmp_path, split="validation")) == [Example("e", ("f",))]
    with pytest.raises(DataError, match="has no split 'test'; Allowed: train, validation"):
        read_examples(tmp_path, split="test")


def test_a_folder_of_shards(tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / f"train-{number:05d}-of-00003.parquet"
        write_parquet(path, [(f"a{number}", "b")])
    examples = read_examples(tmp_path)
    assert [example.source for example in examples] == ["a0", "a1", "a2"]


def test_a_folder_of_parallel_text(tmp_path: Path) -> None:
    (tmp_path / "test.src").write_text("a\n", encoding="utf-8")
    (tmp_path / "test.tgt").write_text("b\n", encoding="utf-8")
    assert list(read_examples(tmp_path, split="test")) == [Example("a", ("b",))]
    with pytest.raises(UsageError, match="Plain text files have no columns"):
        read_examples(tmp_path, {"source": "a", "target": "b"}, split="test")


def test_sources_of_splits(tmp_path: Path) -> None:
    assert split_sources("a.tsv") == {"train": "a.tsv"}
    assert split_sources(["a.en", "a.de"]) == {"train": ["a.en", "a.de"]}
    assert split_sources({"file": "a.tsv"}) == {"train": {"file": "a.tsv"}}
    assert split_sources({"test": "a.tsv"}) == {"test": "a.tsv"}


def test_turkcorpus_has_eight_references() -> None:
    from warmstart.tasks.load import load_task

    split = load_task("simplification", shared_data("turkcorpus")).split("test")
    assert len(split) == 359
    assert {len(references) for references in split.references} == {8}
    for number in (0, 7):
        path = shared_data("turkcorpus", f"test.8turkers.tok.turk.{number}.gz")
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        assert [references[number] for references in split.references] == lines


def test_aeslc_with_columns() -> None:
    path = shared_data("aeslc", "dev.raw.jsonl.gz")
    columns = {"source": "file", "target": "text"}
    assert len(list(read_examples(path, columns))) == 1960


@EVERY_FORMAT
def test_rows_with_an_empty_text_are_an_error_or_are_counted(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path, [("a", "b"), ("", "c"), ("d", "  "), ("e", "f")])
    with pytest.raises(
        DataError,
        match=r"'source' is empty.*skip such rows \(skip_empty, --skip-empty\)",
    ):
        list(read_examples(path))
    skipped = SkippedRows()
    examples = read_examples(path, skipped=skipped)
    assert list(examples) == [Example("a", ("b",)), Example("e", ("f",))]
    assert skipped.rows == 2
    assert skipped.first in (f"{path}, line 3", f"{path}, line 2", f"{path}, row 2")


def test_empty_lines_of_parallel_text(tmp_path: Path) -> None:
    files = [tmp_path / "a.en", tmp_path / "a.de"]
    files[0].write_text("a\n\nc\n", encoding="utf-8")
    files[1].write_text("b\nd\n \n", encoding="utf-8")
    skipped = SkippedRows()
    assert list(read_examples(files, skipped=skipped)) == [Example("a", ("b",))]
    assert skipped == SkippedRows(rows=2, first=f"{files[0]}, line 2")


def test_only_what_is_empty_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"source": "a", "target": true}\n', encoding="utf-8")
    with pytest.raises(DataError, match="'target' is not text"):
        list(read_examples(path, skipped=SkippedRows()))


def test_a_mixture_with_a_file_of_empty_texts(tmp_path: Path, two: tuple[Path, Path]) -> None:
    write_tsv(tmp_path / "c.tsv", [("", "x")])
    parts = [{"file": two[0], "weight": 1}, {"file": tmp_path / "c.tsv", "weight": 1}]
    with pytest.raises(DataError, match=r"c\.tsv has no examples to mix"):
        list(read_examples(parts, skipped=SkippedRows()))


def assert_read_or_told(path: Path, columns: ColumnMapping | None) -> None:
    error = None
    try:
        list(read_examples(path, columns, skipped=SkippedRows()))
    except DataError as raised:
        error = str(raised)
    assert error is None or str(path) in error


ENDINGS = ("tsv", "csv", "jsonl", "parquet", "arrow", "tsv.gz", "csv.zst", "feather")


@pytest.mark.parametrize("ending", ENDINGS)
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=80))
def test_any_bytes_are_examples_or_an_error_in_words(
    tmp_path: Path, ending: str, content: bytes
) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content)
    mappings: list[ColumnMapping | None] = [None, {"source": 1, "target": 2}]
    for columns in mappings:
        assert_read_or_told(path, columns)


@EVERY_FORMAT
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_examples_or_an_error_in_words(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    path = tmp_path / name
    WRITERS[name](path, [(f"source {n}", f"target {n}") for n in range(50)])
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    assert_read_or_told(path, None)
