"""Pairs from text files: the same for the same seed, streamed, written whole or not at all."""

import gzip
import json
import tracemalloc
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from tests.support.shared_data import shared_data

from warmstart.discourse.write_pairs import PairSettings, make_pairs, write_pairs
from warmstart.errors import DataError, OutputError, UsageError

TEXT = (
    "The album was released in May, and it sold a million copies. However, it was soon forgotten. "
    "The road was closed because the river had risen. He said nothing at all to anybody there.\n\n"
    'The road was "closed" because the river had risen. Did the road close because it was old?\n'
)
FUSION = PairSettings(direction="fusion")
SPLITTING = PairSettings(direction="splitting")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def rows(path: Path) -> list[dict[str, str]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.decode().splitlines()]


def test_fusion(text: Path, tmp_path: Path) -> None:
    made = write_pairs([text], tmp_path / "out.jsonl", FUSION)
    assert rows(tmp_path / "out.jsonl") == [
        {
            "source": "The album was released in May. It sold a million copies.",
            "target": "The album was released in May, and it sold a million copies.",
            "rule": "sentence coordination: and",
        },
        {
            "source": "The road was closed. The river had risen.",
            "target": "The road was closed because the river had risen.",
            "rule": "inner connective: because",
        },
    ]
    assert (made.files, made.sentences, made.pairs) == (1, 6, 2)
    assert made.phenomena == {"inner connective": 1, "sentence coordination": 1}


def test_splitting_keeps_the_sense(text: Path, tmp_path: Path) -> None:
    write_pairs([text], tmp_path / "out.jsonl", SPLITTING)
    assert rows(tmp_path / "out.jsonl")[1] == {
        "source": "The road was closed because the river had risen.",
        "target": "The road was closed. This is because the river had risen.",
        "rule": "inner connective: because",
    }


def test_two_sentences_of_a_paragraph_are_fused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "The house was old and grey. However, it stood for many years.\n"
    )
    (pair,) = make_pairs([tmp_path / "a.txt"], FUSION)
    assert pair.fused == "The house was old and grey. However, it stood for many years."
    assert pair.parts == ("The house was old and grey.", "It stood for many years.")
    (tmp_path / "b.txt").write_text(
        "The house was old and grey.\n\nHowever, it stood for many years.\n"
    )
    assert list(make_pairs([tmp_path / "b.txt"], FUSION)) == []
    assert list(make_pairs([tmp_path / "a.txt"], SPLITTING)) == []


def test_lengths(text: Path) -> None:
    lengths = [len(pair.fused.split()) for pair in make_pairs([text], FUSION)]
    assert lengths == [12, 9]
    for settings, count in (
        (replace(FUSION, min_words=9), 2),
        (replace(FUSION, min_words=10), 1),
        (replace(FUSION, max_words=10), 1),
        (replace(FUSION, max_words=8), 0),
    ):
        assert sum(1 for _ in make_pairs([text], settings)) == count


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    with gzip.open(shared_data("text", "wiki.test.raw.gz"), "rt", encoding="utf-8") as file:
        lines = list(islice(file, 800))
    (tmp_path / "text").mkdir()
    book, other = tmp_path / "text" / "a", tmp_path / "text" / "b"
    book.write_text("".join(lines[400:]), encoding="utf-8")
    other.write_text("".join(lines[:400]), encoding="utf-8")
    outputs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_pairs([book], tmp_path / f"{name}.jsonl.gz", replace(FUSION, share=0.5, seed=seed))
        outputs.append((tmp_path / f"{name}.jsonl.gz").read_bytes())
    assert outputs[0] == outputs[1] != outputs[2]
    chosen = [row["target"] for row in rows(tmp_path / "a.jsonl.gz")]
    every = [pair.fused for pair in make_pairs([book], replace(FUSION, seed=1))]
    assert set(chosen) < set(every)
    assert 0.3 < len(chosen) / len(every) < 0.7
    # Of which pairs are drawn nothing depends on the file they stand in.
    both = make_pairs([other, book], replace(FUSION, seed=1))
    assert [pair.fused for pair in both][-len(every) :] == every


def test_no_sentence_is_in_two_pairs() -> None:
    book = shared_data("text", "wiki.valid.raw.gz")
    fused = [pair.fused for pair in make_pairs([book], FUSION)]
    assert len(fused) > 300
    assert len(set(fused)) == len(fused)
    alone = {text for text in fused if text.count(". ") == 0}
    for text in fused:
        if text not in alone:
            first, _, second = text.partition(". ")
            assert f"{first}." not in alone
            assert second not in alone


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    peaks = []
    for times in (40, 400):
        path = tmp_path / f"{times}.txt"
        path.write_text((TEXT + "\n") * times, encoding="utf-8")
        tracemalloc.start()
        made = write_pairs([path], tmp_path / "out.jsonl", FUSION)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert made.pairs == 2 * times
    assert peaks[1] < peaks[0] + 300_000  # the buffers of the file


def test_what_is_refused(text: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is one of the texts"):
        write_pairs([text], text, FUSION)
    assert text.read_text() == TEXT
    with pytest.raises(DataError, match="There is no file"):
        write_pairs([text, tmp_path / "none"], tmp_path / "out.jsonl", FUSION)
    assert not [path for path in tmp_path.iterdir() if path != text]
    with pytest.raises(OutputError, match="cannot be written"):
        write_pairs([text], tmp_path / "none" / "out.jsonl", FUSION)
    with pytest.raises(UsageError, match="share is 0"):
        PairSettings(direction="fusion", share=0)
    with pytest.raises(UsageError, match="min_words is 9; it must be at most max_words"):
        PairSettings(direction="fusion", min_words=9, max_words=3)


def test_progress_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text((TEXT + "\n") * 4000, encoding="utf-8")
    told: list[tuple[int, int]] = []
    write_pairs(
        [path],
        tmp_path / "out",
        FUSION,
        report=lambda sentences, pairs: told.append((sentences, pairs)),
    )
    assert len(told) == 2
    assert told[0][0] >= 10_000
    assert told[1][0] >= 20_000
