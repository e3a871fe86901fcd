import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sacrebleu
from tests.cli.conftest import Finished

from warmstart.seq2seq import Seq2Seq

Run = Callable[..., Finished]


def rows(pairs: Path, count: int | None = None) -> list[tuple[str, str]]:
    lines = pairs.read_text().splitlines()[1:]
    return [(line.split("\t")[0], line.split("\t")[1]) for line in lines][:count]


def test_a_model_is_scored_on_what_it_writes(
    warmstart: Run, composed: Path, pairs: Path, tmp_path: Path
) -> None:
    finished = warmstart(
        "evaluate", composed, "--data", pairs, "--limit", 10, "--max-length", 8, "--json",
        "--metric", "bleu", "--metric", "sari", "--outputs", tmp_path / "outputs.jsonl",
    )  # fmt: skip
    assert finished.code == 0
    assert "took the column 'complex' as the source" in finished.err
    examples = rows(pairs, 10)
    outputs = Seq2Seq.from_pretrained(composed).generate(
        [source for source, _ in examples], max_length=8
    )
    told = json.loads(finished.out)
    bleu = sacrebleu.corpus_bleu(outputs, [[target for _, target in examples]])
    assert told["scores"]["bleu"]["value"] == pytest.approx(bleu.score)
    assert list(told["scores"]) == ["bleu", "sari"]
    assert told["examples"] == 10
    assert told["generation"]["max_length"] == 8
    kept = [json.loads(line) for line in (tmp_path / "outputs.jsonl").read_text().splitlines()]
    assert [row["output"] for row in kept] == outputs
    assert [(row["source"], row["references"][0]) for row in kept] == examples


def test_text_for_people(warmstart: Run, composed: Path, pairs: Path) -> None:
    finished = warmstart("evaluate", composed, "--data", pairs, "--limit", 4, "--max-length", 4)
    lines = finished.out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["rougeL", "bleu", "exact_match"]
    assert lines[-1] == "4 examples"


def test_finished_outputs_need_no_model(warmstart: Run, pairs: Path, tmp_path: Path) -> None:
    examples = rows(pairs)
    outputs = [
        f"{target} x" if number % 2 else target for number, (_, target) in enumerate(examples)
    ]
    (tmp_path / "outputs.txt").write_text("\n".join(outputs) + "\n")
    finished = warmstart(
        "evaluate", "--data", pairs, "--predictions", tmp_path / "outputs.txt", "--json"
    )
    told = json.loads(finished.out)
    assert told["scores"]["exact_match"]["value"] == 50.0
    assert told["generation"] is None


def test_columns_and_parallel_files(warmstart: Run, pairs: Path, tmp_path: Path) -> None:
    examples = rows(pairs)
    for name, side in (("a.txt", 0), ("b.txt", 1)):
        (tmp_path / name).write_text("\n".join(example[side] for example in examples) + "\n")
    predictions = ["--predictions", tmp_path / "b.txt", "--metric", "exact_match", "--json"]
    for data in (
        ["--data", tmp_path / "a.txt", "--data", tmp_path / "b.txt"],
        ["--data", pairs, "--columns", "source=complex,target=simple"],
    ):
        finished = warmstart("evaluate", *data, *predictions)
        assert json.loads(finished.out)["scores"]["exact_match"]["value"] == 100.0
    several = ["--data", pairs, "--columns", "source=complex,target=complex,target=simple"]
    told = json.loads(warmstart("evaluate", *several, *predictions).out)
    assert "nrefs:2" in told["scores"]["exact_match"]["signature"]


def test_references_as_the_model_would_write_them(
    warmstart: Run, composed: Path, tmp_path: Path
) -> None:
    # The tiny tokenizer has no such word, so no output could have it.
    (tmp_path / "data.tsv").write_text("the cat\tthe lion\n")
    (tmp_path / "outputs.txt").write_text("the\n")
    command = ["evaluate", composed, "--data", tmp_path / "data.tsv", "--metric", "exact_match"]
    command += ["--predictions", tmp_path / "outputs.txt", "--json"]
    (plain,) = json.loads(warmstart(*command).out)["scores"].values()
    (passed,) = json.loads(warmstart(*command, "--references", "round-trip").out)["scores"].values()
    assert (plain["value"], passed["value"]) == (0.0, 100.0)
    assert passed["signature"].endswith("|references:round-trip")


def test_predictions_that_cannot_be_scored(warmstart: Run, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "outputs.txt").write_text("one\n")
    command = ["evaluate", "--data", pairs]
    warmstart(*command).assert_failed(2, "MODEL", "--predictions")
    command += ["--predictions", tmp_path / "outputs.txt"]
    warmstart(*command).assert_failed(1, "1 lines, but the data 40 examples")
    warmstart(*command, "--references", "round-trip").assert_failed(2, "MODEL")
    warmstart(*command, "--num-beams", 2).assert_failed(2, "--predictions")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--outputs", "nowhere/a.jsonl"], 1, "a folder that exists"),
        (["--metric", "srai"], 2, "'sari'"),
        (["--task", "pears"], 2, "'pairs'"),
        (["--columns", "a"], 2, "source=A,target=B"),
        (["--columns", "source=a,taget=b"], 2, "'target'"),
    ],
)
def test_wrong_options(
    warmstart: Run, pairs: Path, options: list[str], code: int, words: str
) -> None:
    # There is no such model, too; that is not looked at.
    warmstart("evaluate", "nowhere", "--data", pairs, *options).assert_failed(code, words)
