"""Scores of other programs: read from files, averaged and compared as our own metrics are."""

import json
from pathlib import Path

import pytest

from warmstart.cli.main import run


def write(path: Path, *lines: object) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


@pytest.fixture
def outputs(tmp_path: Path) -> list[str]:
    out = write(tmp_path / "out.txt", "a b c d", "e f g h", "i j k l")
    return ["--predictions", out, "--references", out]


def test_a_number_a_line(
    tmp_path: Path, outputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    scores = write(tmp_path / "comet.txt", 0.5, -0.25, "1e0")
    assert run(["evaluate", *outputs, "--scores", f"comet={scores}", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["scores"]["comet"]
    assert made["value"] == pytest.approx((0.5 - 0.25 + 1) / 3)
    low, high = made["ci"]
    assert -0.25 <= low <= made["value"] <= high <= 1


def test_json_lines(tmp_path: Path, outputs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    scores = write(tmp_path / "c.jsonl", '{"score": 0.5}', '{"score": 2}', '{"score": 3.5}')
    assert run(["evaluate", *outputs, "--scores", f"metricx={scores}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["metricx"]["value"] == 2


def test_two_systems(
    tmp_path: Path, outputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    one = write(tmp_path / "a.txt", 1, 2, 3)
    two = write(tmp_path / "b.txt", 2, 2, 2)
    files = [outputs[1], outputs[1], "--references", outputs[1]]
    assert run(["compare", *files, "--scores", f"comet={one},{two}", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["comparisons"]["comet"]
    assert made["difference"] == 0
    assert (made["first_higher"], made["second_higher"], made["equal"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ((1, 2), "and 2 scores of comet; every example needs"),
        ((1, "x", 3), "line 2: the score is 'x'; give a number."),
        ((1, "nan", 3), "line 2: the score is 'nan'"),
    ],
)
def test_wrong_scores(
    lines: tuple[object, ...],
    sentence: str,
    tmp_path: Path,
    outputs: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = write(tmp_path / "comet.txt", *lines)
    assert run(["evaluate", *outputs, "--scores", f"comet={scores}"]) in (1, 2)
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("option", ["comet", "=a.txt", "comet=a.txt,b.txt", "bleu=a.txt"])
def test_wrong_options(option: str, outputs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", *outputs, "--scores", option]) == 2
    assert "--scores" in capsys.readouterr().err


def test_the_target_language_and_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = write(tmp_path / "o.txt", "猫が座っている。犬が走る。")
    texts = ["--predictions", out, "--references", out, "--metric", "bleu"]
    assert run(["evaluate", *texts, "--target-language", "ja"]) == 0
    shown = capsys.readouterr()
    assert "tok:ja-mecab" in shown.out
    assert shown.err == ""
    assert run(["evaluate", *texts]) == 0
    assert "--tokenize ja-mecab" in capsys.readouterr().err
