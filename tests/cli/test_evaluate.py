import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sacrebleu
from tests.support.command_line import Finished

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
    # What it kept scores the same again, without a model.
    again = json.loads(
        warmstart(
            "evaluate", "--predictions", tmp_path / "outputs.jsonl", "--json",
            "--metric", "bleu", "--metric", "sari", "--metric", "length_limit",
        ).out
    )  # fmt: skip
    assert {name: again["scores"][name] for name in told["scores"]} == told["scores"]
    limited = [row["at_limit"] for row in kept]
    assert again["scores"]["length_limit"]["value"] == pytest.approx(10 * sum(limited))


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
    command += ["--reference-text", "round-trip"]
    (passed,) = json.loads(warmstart(*command).out)["scores"].values()
    assert (plain["value"], passed["value"]) == (0.0, 100.0)
    assert passed["signature"].endswith("|references:round-trip")


def test_predictions_that_cannot_be_scored(warmstart: Run, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "outputs.txt").write_text("one\n")
    command = ["evaluate", "--data", pairs]
    warmstart(*command).assert_failed(2, "MODEL", "--predictions")
    command += ["--predictions", tmp_path / "outputs.txt"]
    warmstart(*command).assert_failed(1, "1 lines, but the data 40 examples")
    warmstart(*command, "--reference-text", "round-trip").assert_failed(2, "MODEL")
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


SOURCES = ["the cat sat on the mat", "a dog ran far away", "it is so"]
OUTPUTS = ["the cat sat on a mat", "", "it is so"]
REFERENCES = [
    ["the cat sat on a mat", "a dog ran away", "it is"],
    ["a cat sat", "the dog ran", "so it is"],
]


@pytest.fixture
def finished(tmp_path: Path) -> list[object]:
    """Options for finished outputs in plain text, one file compressed."""
    (tmp_path / "sources.txt").write_text("\n".join(SOURCES) + "\n")
    (tmp_path / "outputs.txt").write_text("\n".join(OUTPUTS) + "\n")
    (tmp_path / "references.0").write_text("\n".join(REFERENCES[0]) + "\n")
    with gzip.open(tmp_path / "references.1.gz", "wt") as file:
        file.write("\n".join(REFERENCES[1]) + "\n")
    return [
        "evaluate", "--predictions", tmp_path / "outputs.txt",
        "--sources", tmp_path / "sources.txt",
        "--references", tmp_path / "references.0", tmp_path / "references.1.gz",
    ]  # fmt: skip


def test_plain_files_of_anybodys_system(warmstart: Run, finished: list[object]) -> None:
    done = warmstart(*finished, "--metric", "sari", "--metric", "bleu", "--json")
    assert "1 of 3 outputs" in done.err
    told = json.loads(done.out)
    bleu = sacrebleu.corpus_bleu(OUTPUTS, REFERENCES)
    assert told["scores"]["bleu"]["value"] == pytest.approx(bleu.score, abs=1e-9)
    assert "nrefs:2" in told["scores"]["sari"]["signature"]
    assert (told["examples"], told["model"], told["task"]) == (3, None, None)
    repeated = [*finished[:6], finished[6], "--references", finished[7]]
    again = warmstart(*repeated, "--metric", "sari", "--metric", "bleu", "--json")
    assert json.loads(again.out) == told


def test_scores_of_each_example(warmstart: Run, finished: list[object], tmp_path: Path) -> None:
    metrics = ["--metric", "exact_match", "--metric", "bleu"]
    done = warmstart(*finished, *metrics, "--per-example", tmp_path / "each.jsonl")
    assert done.code == 0
    rows = [json.loads(line) for line in (tmp_path / "each.jsonl").read_text().splitlines()]
    assert [row["example"] for row in rows] == [1, 2, 3]
    assert [row["scores"]["exact_match"] for row in rows] == [100, 0, 0]
    for row, output, *references in zip(rows, OUTPUTS, *REFERENCES, strict=True):
        expected = sacrebleu.sentence_bleu(output, references).score
        assert row["scores"]["bleu"] == pytest.approx(expected, abs=1e-9)


def test_all_metrics_that_the_texts_allow(warmstart: Run, finished: list[object]) -> None:
    done = warmstart(*finished, "--metric", "all", "--json")
    names = list(json.loads(done.out)["scores"])
    known = [entry["name"] for entry in json.loads(warmstart("list", "metrics", "--json").out)]
    skipped = ("length_limit", "bertscore", "errant", "spbleu")
    assert names == [name for name in known if name not in skipped]
    assert "length_limit is skipped" in done.err
    bare = warmstart(*finished[:3], "--metric", "all", "--json")
    assert list(json.loads(bare.out)["scores"]) == ["repetition_rate"]
    usual = warmstart(*finished[:3]).assert_failed
    usual(2, "without references", "repetition_rate")


def test_options_of_metrics(warmstart: Run, finished: list[object]) -> None:
    options = ["--lowercase", "--tokenize", "char", "--no-stemmer"]
    names = ["--metric", "bleu", "--metric", "rouge1", "--metric", "chrf"]
    told = json.loads(warmstart(*finished, *names, *options, "--json").out)["scores"]
    assert "case:lc|eff:no|tok:char" in told["bleu"]["signature"]
    assert "stemmer:no" in told["rouge1"]["signature"]
    assert "case:lc" in told["chrf"]["signature"]
    one = [*finished, "--metric", "chrf"]
    warmstart(*one, "--tokenize", "intl").assert_failed(2, "chrf has no option 'tokenize'")
    warmstart(*one[:-1], "bleu", "--tokenize", "intel").assert_failed(2, "'intl'")


def test_a_tasks_metrics_and_tokens(warmstart: Run, finished: list[object]) -> None:
    told = json.loads(warmstart(*finished, "--task", "wikisplit", "--json").out)
    assert list(told["scores"]) == ["exact_match", "sari", "bleu"]
    assert "tok:none" in told["scores"]["bleu"]["signature"]
    assert told["task"] == "wikisplit"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "x.tsv"], "--data already has sources and references"),
        (["--columns", "source=a,target=b"], "--columns are those of --data"),
        (["--outputs", "x.jsonl"], "--predictions are finished"),
        (["--reference-text", "round-trip"], "needs a MODEL"),
        (["--metric", "srai"], "'sari'"),
        (["--metric", "bertscore"], "pip install bert-score"),
        (["--metric", "length_limit"], "at_limit"),
    ],
)
def test_options_that_do_not_fit_finished_outputs(
    warmstart: Run, finished: list[object], options: list[str], words: str
) -> None:
    warmstart(*finished, *options).assert_failed(2, words)


def test_a_model_takes_no_prediction_files(
    warmstart: Run, finished: list[object], pairs: Path
) -> None:
    warmstart("evaluate", "nowhere", *finished[3:]).assert_failed(2, "belong to --predictions")
    assert "nowhere is not used" in warmstart("evaluate", "nowhere", *finished[1:]).err


def test_files_of_different_lengths(warmstart: Run, finished: list[object], tmp_path: Path) -> None:
    (tmp_path / "references.0").write_text("one\ntwo\n")
    warmstart(*finished).assert_failed(1, "outputs.txt has 3 lines", "references.0 has 2")
    (tmp_path / "sources.txt").write_text("one\n")
    warmstart(*finished).assert_failed(1, "outputs.txt has 3 lines", "sources.txt has 1")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"output": "a"}\n{"output": \n', "a.jsonl, line 2 is not valid JSON"),
        ("a.jsonl", b'{"output": "a"}\n{"text": "b"}\n', "line 2 has no field 'output'"),
        ("a.jsonl", b'{"output": 3}\n', "line 1: the field 'output' is not a text, but 3"),
        ("a.txt", b"a\nb\xff\n", "a.txt, line 2 is not UTF-8"),
        ("a.txt", b"", "is empty"),
        ("b.txt", None, "There is no file"),
    ],
)
def test_files_that_cannot_be_read(
    warmstart: Run, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    command = ["evaluate", "--predictions", tmp_path / name, "--metric", "repetition_rate"]
    warmstart(*command).assert_failed(1, words)


def test_scoring_finished_outputs_loads_no_torch(finished: list[object]) -> None:
    code = (
        "import sys; from warmstart.cli.main import run\n"
        "code = run(sys.argv[1:]); sys.exit(code or ('torch' in sys.modules) * 9)"
    )
    arguments = [*map(str, finished), "--metric", "all"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_rows_with_an_empty_text_are_left_out_when_asked(
    warmstart: Run, composed: Path, tmp_path: Path
) -> None:
    (tmp_path / "gaps.tsv").write_text("the cat\tthe dog\n\tthe mat\na bird\ta tree\n")
    arguments = ["--data", tmp_path / "gaps.tsv", "--metric", "exact_match", "--json"]
    refused = warmstart("evaluate", composed, *arguments)
    assert refused.code == 1
    assert "line 2" in refused.err
    assert "--skip-empty" in refused.err
    finished = warmstart("evaluate", composed, *arguments, "--skip-empty")
    assert finished.code == 0
    assert json.loads(finished.out)["examples"] == 2
    assert "skipped 1 with an empty text" in finished.err
