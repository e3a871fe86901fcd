"""`warmstart data`: reports, and pairs from plain text."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.command_line import Finished

Run = Callable[..., Finished]
TEXT = (
    "The album was released in May, and it sold a million copies. He said nothing about it. "
    "The road was closed because the river had risen.\n"
)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{source}\t{target}\n" for source, target in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("direction", ["fusion", "splitting"])
def test_pairs_of_text(direction: str, warmstart: Run, text: Path, tmp_path: Path) -> None:
    output = tmp_path / "pairs.jsonl"
    finished = warmstart("data", direction, "--text", text, "-o", output)
    assert (finished.code, finished.err) == (0, "")
    table = [line.split() for line in finished.out.splitlines()]
    assert table[:3] == [
        ["rule", "pairs", "share"],
        ["inner", "connective:", "because", "1", "50.0", "%"],
        ["sentence", "coordination:", "and", "1", "50.0", "%"],
    ]
    assert finished.out.endswith(f"2 pairs of 3 sentences in {output}\n")
    assert len(output.read_text().splitlines()) == 2
    # They are data to train on.
    report = warmstart("data", "report", output)
    assert (report.code, report.out.splitlines()[0]) == (0, "train: 2 rows, 0 duplicate")


def test_pairs_as_json(warmstart: Run, text: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.txt"
    more.write_text(TEXT)
    output = tmp_path / "pairs.jsonl.gz"
    finished = warmstart("data", "fusion", "--text", text, more, "-o", output, "--json")
    assert json.loads(finished.out) == {
        "output": str(output),
        "files": 2,
        "sentences": 6,
        "pairs": 4,
        "phenomena": {"inner connective": 2, "sentence coordination": 2},
        "rules": {"inner connective: because": 2, "sentence coordination: and": 2},
    }


def test_no_pair_is_no_error(warmstart: Run, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("Nothing here.\n")
    finished = warmstart("data", "fusion", "--text", tmp_path / "text.txt", "-o", tmp_path / "out")
    assert finished.code == 0
    assert finished.out.endswith(f"0 pairs of 1 sentences in {tmp_path / 'out'}\n")


def test_errors_in_text(warmstart: Run, text: Path, tmp_path: Path) -> None:
    warmstart("data", "fusion", "--text", tmp_path / "no", "-o", tmp_path / "out").assert_failed(
        1, "There is no file"
    )
    warmstart("data", "fusion", "--text", text, "-o", text).assert_failed(1, "one of the texts")
    warmstart("data", "fusion", "--text", text, "-o", "x", "--share", 2).assert_failed(
        2, "share is 2.0"
    )
    warmstart("data", "fusion", "-o", "x").assert_failed(
        2, "--text", "warmstart data fusion --help"
    )
    warmstart("data", "fuse").assert_failed(2, "fusion", "warmstart data --help")


def test_a_report(warmstart: Run, tmp_path: Path, composed: Path) -> None:
    train = write(tmp_path / "a.tsv", [("the cat", "a dog"), ("the cat", "a dog"), ("it", "was")])
    test = write(tmp_path / "b.tsv", [("the cat", "a bird"), ("it", "was"), ("she", "is")])
    finished = warmstart("data", "report", train, "--test", test, "--json")
    found = json.loads(finished.out)
    assert found["splits"]["train"]["rows"] == 3
    assert found["splits"]["train"]["duplicates"] == 1
    (overlap,) = found["overlaps"]
    assert overlap == {
        "split": "test",
        "rows": 3,
        "pairs": 1,
        "sources": 2,
        "named": [{"row": 1, "source": "the cat"}, {"row": 2, "source": "it"}],
    }
    finished = warmstart("data", "report", train, "--test", test, "--model", composed)
    assert "source tokens at 5/25/50/75/95/99 %" in finished.out
    assert "test: warning: 1 rows (33.33 %) are in train" in finished.out


def test_several_files_are_one_split(warmstart: Run, tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.tsv", [(name, name), ("same", "same")]) for name in "ab"]
    finished = warmstart("data", "report", *files, "--json")
    assert json.loads(finished.out)["splits"]["train"]["rows"] == 4
    assert json.loads(finished.out)["splits"]["train"]["duplicates"] == 1


def test_errors_in_data(warmstart: Run, tmp_path: Path) -> None:
    warmstart("data", "report", tmp_path / "no.tsv").assert_failed(1, "There is no file")
    warmstart("data", "report", "a.tsv", "--task", "fusoin").assert_failed(2, "no task 'fusoin'")


def test_pseudo_labels_are_data_to_train_on(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "train.tsv", [("the cat sat", "the cat"), ("she is big", "she")])
    output = tmp_path / "pseudo.jsonl"
    arguments = ("--data", data, "-o", output, "--num-beams", 2, "--max-length", 6, "--json")
    finished = warmstart("data", "pseudo-labels", composed, *arguments)
    assert finished.code == 0, finished.err
    told = json.loads(finished.out)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert (told["examples"], told["written"]) == (2, len(rows))
    assert {row["source"] for row in rows} <= {"the cat sat", "she is big"}
    finished = warmstart(
        "data", "pseudo-labels", composed, "--data", tmp_path / "none.tsv", "-o", output
    )
    finished.assert_failed(1, "none.tsv")
