"""Examples on disk are like those in memory, and stay there."""

import os
import pickle
import random
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.cache import cache_folder, cached_file, file_digest
from warmstart.data import hashes
from warmstart.data.duplicates import without_duplicates
from warmstart.data.example import Example
from warmstart.data.hold_out import hold_out
from warmstart.data.stored import (
    StoredExamples,
    content_of,
    find_stored,
    hash_blocks,
    keep_examples,
    weights_of,
)
from warmstart.errors import DataError, OutputError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def many(count: int) -> list[Example]:
    return [
        Example(f"source {index % (count * 9 // 10)} é" * (index % 4 + 1), (f"t{index}", "other"))
        for index in range(count)
    ]


def stored(examples: list[Example], key: str | None = None) -> StoredExamples:
    kept = keep_examples(iter(examples), key=key, in_memory=0)
    assert isinstance(kept, StoredExamples)
    return kept


def test_few_stay_in_memory(folder: Path) -> None:
    examples = many(10)
    assert keep_examples(examples) == tuple(examples)
    assert not folder.exists()


def test_many_are_the_same_on_disk() -> None:
    examples = many(40_000)  # several blocks
    kept = stored(examples)
    assert len(kept) == 40_000
    assert list(kept) == examples
    for index in (0, 16_383, 16_384, 39_999, -1, -40_000):
        assert kept[index] == examples[index]
    for index in (40_000, -40_001):
        with pytest.raises(IndexError):
            kept[index]
    assert content_of(kept) == content_of(tuple(examples))
    assert list(pickle.loads(pickle.dumps(kept))) == examples


@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_views_are_like_lists(data: st.DataObject) -> None:
    expected = many(60)
    view = stored(expected)
    for _ in range(3):
        start, stop = (data.draw(st.none() | st.integers(-70, 70)) for _ in range(2))
        step = data.draw(st.sampled_from([None, 1, 2, -1]))
        assert list(view[start:stop:step]) == expected[start:stop:step]
        if step in (None, 1) and expected[start:stop]:
            part = view[start:stop]
            assert isinstance(part, StoredExamples)
            view, expected = part, expected[start:stop]
        out = data.draw(st.sets(st.integers(0, len(expected) - 1)))
        if len(out) < len(expected):
            view = view.without(sorted(out))
            expected = [example for i, example in enumerate(expected) if i not in out]
        assert list(view) == expected
        assert [view[i] for i in range(len(view))] == expected
        hashes = [tuple(row) for block in view.hash_blocks() for row in block.tolist()]
        assert hashes == [tuple(row) for block in hash_blocks(expected) for row in block.tolist()]


def test_other_rows_are_other_content() -> None:
    view = stored(many(50))
    views = (view, view[1:], view[:-1], view.without([3]))
    contents = {content_of(part) for part in views}
    assert len(contents) == 4


def test_what_was_kept_is_found_by_its_key() -> None:
    examples = many(20)
    assert find_stored("key") is None
    stored(examples, "key")
    found = find_stored("key")
    assert found is not None
    assert list(found) == examples
    assert find_stored("other") is None


def test_a_damaged_file_is_made_again(folder: Path) -> None:
    stored(many(20), "key")
    (file,) = (folder / "examples").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:-100])
    assert find_stored("key") is None
    assert list(stored(many(20), "key")) == many(20)


def test_equal_content_is_kept_once(folder: Path) -> None:
    assert list(stored(many(20))) == list(stored(many(20)))
    assert len(list((folder / "examples").iterdir())) == 1


def test_reading_takes_no_memory_that_grows(tmp_path: Path) -> None:
    def stream(count: int) -> Iterator[Example]:
        return (Example(f"some source {i}", (f"some target {i}",)) for i in range(count))

    peaks = []
    for count in (40_000, 80_000):
        tracemalloc.start()
        kept = keep_examples(stream(count), in_memory=50_000)
        assert sum(1 for _ in kept) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 20e6


def test_a_write_that_fails_leaves_nothing(folder: Path) -> None:
    """A limit on the size of files stands for the end of the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot be written.*WARMSTART_CACHE"):
            stored([Example("x" * 1000, ("y",))] * 20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in folder.rglob("*") if path.suffix != ".lock" and path.is_file()]


def test_a_failing_source_leaves_nothing(folder: Path) -> None:
    def stream() -> Iterator[Example]:
        yield from many(30)
        raise DataError("line 31 is bad.")

    with pytest.raises(DataError, match="line 31"):
        keep_examples(stream(), in_memory=10)
    assert not [path for path in folder.rglob("*") if path.suffix != ".lock" and path.is_file()]


def test_a_cache_that_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"cannot be made.*Set WARMSTART_CACHE"):
        stored(many(20))


def test_two_processes_make_a_file_once(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from warmstart.cache import cached_file\n"
        "def write(path):\n"
        "    with Path(sys.argv[1]).open('a') as log: log.write('made\\n')\n"
        "    time.sleep(0.5)\n"
        "    path.write_text('whole')\n"
        "assert cached_file('tests', 'key', write).read_text() == 'whole'\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "made\n"


def test_a_file_s_digest_follows_its_bytes(tmp_path: Path) -> None:
    file, copy = tmp_path / "a", tmp_path / "b"
    file.write_text("one")
    first = file_digest(file)
    assert file_digest(file) == first
    copy.write_text("one")
    assert file_digest(copy) == first
    file.write_text("two")
    os.utime(file, ns=(1, 1))
    assert file_digest(file) != first
    assert cached_file("tests", "k", lambda path: path.touch()).parent == cache_folder() / "tests"


@pytest.mark.parametrize("size", [None, 1, 37, 300])
def test_a_validation_split_is_held_out_of_what_is_on_disk(size: int | None) -> None:
    examples = many(2000)
    kept = stored(examples)
    train, validation = hold_out(kept, size=size, seed=3)
    wanted = size or 200
    assert wanted - 2 <= len(validation) <= wanted + 1
    held = set(validation)
    assert list(train) == [example for example in examples if example not in held]
    assert [example for example in examples if example in held] == list(validation)
    assert not {example.source for example in train} & {example.source for example in validation}
    assert hold_out(kept, size=size, seed=3)[1] == validation
    if wanted > 1:
        assert hold_out(kept, size=size, seed=4)[1] != validation


def test_holding_out_is_even() -> None:
    """Every example has the same chance, over many seeds."""
    kept = stored([Example(f"s{i}", ("t",)) for i in range(20)])
    counts = [0] * 20
    for seed in range(400):
        for example in hold_out(kept, size=5, seed=seed)[1]:
            counts[int(example.source[1:])] += 1
    assert sum(counts) == 2000
    assert max(abs(count - 100) for count in counts) < 5 * (400 * 0.25 * 0.75) ** 0.5


def test_one_source_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="only one source"):
        hold_out(stored([Example("same", (str(i),)) for i in range(30)]), size=3)


def test_a_frequent_source_is_held_out_whole() -> None:
    examples = [Example("a b"[i % 2 * 2], (str(i),)) for i in range(200)]
    random.Random(0).shuffle(examples)
    train, validation = hold_out(stored(examples), size=3)
    assert len(train) == len(validation) == 100


@given(examples=st.lists(st.sampled_from(many(12)), min_size=1, max_size=40))
@settings(deadline=None, max_examples=30)
def test_the_first_of_equal_examples_stays(examples: list[Example]) -> None:
    expected = [example for i, example in enumerate(examples) if example not in examples[:i]]
    assert list(without_duplicates(tuple(examples))) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashes, "AT_ONCE", 5)  # in several parts
        assert list(without_duplicates(stored(examples))) == expected


def test_weights_are_kept_and_found() -> None:
    examples = [Example(e.source, e.targets, i / 3) for i, e in enumerate(many(40_000))]
    kept = stored(examples)
    assert list(kept[20_000:20_010]) == examples[20_000:20_010]
    assert kept[39_999] == examples[39_999]
    view = kept[5:]
    assert isinstance(view, StoredExamples)
    view = view.without([0, 2])
    assert weights_of(view).tolist() == [examples[6].weight, *weights_of(examples[8:])]
    other = stored([Example(e.source, e.targets) for e in examples])
    assert weights_of(kept)[1] == 1 / 3, "the same texts with other weights are another file"
    assert set(weights_of(other)) == {1.0}
