"""What a report counts, against brute force."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.data import hashes
from warmstart.data.example import Example
from warmstart.data.hashes import count_repeats, hashes_of, partitions
from warmstart.data.lengths import PERCENTILES, LengthCounts, Lengths
from warmstart.data.report import report_data
from warmstart.data.stored import keep_examples

EXAMPLES = st.lists(
    st.builds(
        Example,
        st.sampled_from(["a", "b", "a b", "c d e"]),
        st.lists(st.sampled_from(["x", "y", "x y"]), min_size=1, max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=30,
)


@settings(deadline=None)
@given(train=EXAMPLES, validation=EXAMPLES)
def test_counts_are_those_of_sets(train: list[Example], validation: list[Example]) -> None:
    report = report_data({"train": tuple(train), "validation": tuple(validation)})
    split = report.splits["train"]
    assert split.rows == len(train)
    assert split.duplicates == len(train) - len(set(train))
    assert split.repeated_sources == len(train) - len({example.source for example in train})
    (overlap,) = report.overlaps
    assert overlap.pairs == sum(example in set(train) for example in validation)
    sources = {example.source for example in train}
    shared = [row for row, example in enumerate(validation, 1) if example.source in sources]
    assert overlap.sources == len(shared)
    assert [found.row for found in overlap.named] == shared[:5]
    assert [found.source for found in overlap.named] == [
        validation[row - 1].source for row in shared[:5]
    ]


def test_data_on_disk_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path))
    monkeypatch.setattr(hashes, "AT_ONCE", 7)  # many parts of few
    dice = random.Random(0)
    train, test = (
        tuple(Example(f"s {dice.randrange(80)}", (f"t {dice.randrange(3)}",)) for _ in range(200))
        for _ in range(2)
    )
    expected = report_data({"train": train, "test": test})
    kept = {"train": keep_examples(train, in_memory=0), "test": keep_examples(test, in_memory=0)}
    assert report_data(kept) == expected
    notes = sorted((tmp_path / "reports").iterdir())
    assert len(notes) == 3
    before = [note.stat().st_mtime_ns for note in notes]
    assert report_data(kept) == expected
    assert [note.stat().st_mtime_ns for note in notes] == before


@pytest.mark.parametrize("at_once", [1, 3, 10, 1000])
def test_repeats_in_parts(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [Example(str(i % 17), (str(i % 5),)) for i in range(100)]
    table = hashes_of(examples)
    monkeypatch.setattr(hashes, "AT_ONCE", at_once)
    blocks = [table[:40, 0].copy(), table[40:, 0].copy()]
    assert count_repeats(lambda: iter(blocks), 100) == 100 - 17


def test_parts_hold_no_more_than_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "AT_ONCE", 10)
    assert [partitions(count) for count in (0, 1, 10, 11, 20, 21, 40, 41)] == [
        *(1, 1, 1, 2, 2, 4, 4, 8)
    ]


def test_hashes_tell_texts_apart() -> None:
    examples = [
        Example("ab", ("c",)),
        Example("a", ("bc",)),
        Example("ab", ("c", "")),
        Example("ab", ("", "c")),
        Example("a", ("b", "c")),
        Example("abc", ("",)),
    ]
    assert len(set(hashes_of(examples)[:, 1].tolist())) == 6


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 300), min_size=1), limit=st.none() | st.integers(1, 300))
def test_lengths(lengths: list[int], limit: int | None) -> None:
    counts = LengthCounts(limit)
    counts.add(lengths[:5])
    counts.add(lengths[5:])
    found = counts.lengths()
    assert (found.count, found.total, found.longest) == (len(lengths), sum(lengths), max(lengths))
    ordered = sorted(lengths)
    for percent in PERCENTILES:
        place = max(1, -(-len(lengths) * percent // 100))
        assert found.percentiles[percent] == ordered[place - 1]
    over = [length - limit for length in lengths if limit is not None and length > limit]
    assert (found.truncated, found.lost) == (len(over), sum(over))
    assert Lengths.from_json(found.to_json()) == found


def test_the_text_names_what_is_shared() -> None:
    train = tuple(Example(f"source {i}", (f"target {i}",)) for i in range(10))
    test = (train[3], Example("source 4", ("other",)), Example("new", ("new",)))
    text = str(report_data({"train": (*train, train[0]), "test": test}, empty={"train": 2}))
    assert "train: 11 rows, 2 empty skipped, 1 duplicate (9.09 %)" in text
    assert "test: warning: 1 rows (33.33 %) are in train; 2 rows (66.67 %) have a source" in text
    assert "  row 1: source 3\n  row 2: source 4" in text
    alone = str(report_data({"train": train, "test": test[2:]}))
    assert "test: no source of its 1 rows is in train" in alone


def test_tokens_are_reported_with_the_loss() -> None:
    counts = LengthCounts(4)
    counts.add([2, 3, 9])
    lengths = counts.lengths()
    text = str(
        report_data({"train": (Example("a", ("b",)),)}, tokens={"train": (lengths, lengths)})
    )
    assert "source tokens" in text
    assert "source: 1 truncated (33.33 %) to 4 tokens; 35.71 % of its tokens lost" in text
