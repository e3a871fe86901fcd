import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.command_line import Finished
from tests.support.shared_data import shared_data

import warmstart as package
from warmstart.errors import DataError, UsageError
from warmstart.metrics.all_metrics import get_metric
from warmstart.metrics.system_outputs import SystemOutputs

Run = Callable[..., Finished]

ROWS = [
    {"source": f"s {i} a b c", "output": f"a b {i} c", "references": [f"a b {i} c", f"{i}"]}
    for i in range(20)
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Two systems on the same examples, the second wrong on every other."""
    worse = [{**row, "output": "x y"} if number % 2 else row for number, row in enumerate(ROWS)]
    return write(tmp_path / "a.jsonl", ROWS), write(tmp_path / "b.jsonl", worse)


def test_differences_and_p_values(warmstart: Run, files: tuple[Path, Path]) -> None:
    command = ["compare", *files, "--metric", "sari", "--metric", "exact_match"]
    told = json.loads(warmstart(*command, "--json").out)
    assert list(told["comparisons"]) == ["sari", "exact_match"]
    found = told["comparisons"]["exact_match"]
    assert (found["first"]["value"], found["second"]["value"]) == (100, 50)
    assert found["difference"] == -50
    assert found["ci"][0] < -50 < found["ci"][1] < 0
    assert found["p_bootstrap"] < 0.05
    assert found["p_randomization"] < 0.05
    assert (found["first_higher"], found["second_higher"], found["equal"]) == (10, 0, 10)
    lines = warmstart(*command).out.splitlines()
    assert lines[0].split()[:4] == ["metric", "A", "B", "B"]
    assert lines[2].split()[:4] == ["exact_match", "100.00", "50.00", "-50.00"]
    assert "20 examples" in lines[3]
    assert "two-sided" in lines[4].lower()


def test_in_one_call(files: tuple[Path, Path]) -> None:
    found = package.compare(*files, metrics=["bleu", get_metric("rougeL", stemmer=False)])
    assert list(found) == ["bleu", "rougeL"]
    assert "stemmer:no" in found["rougeL"].first.signature
    texts = SystemOutputs(outputs=[str(row["output"]) for row in ROWS])
    assert package.compare(texts, files[1], metrics=["bleu"])["bleu"] == found["bleu"]
    assert list(package.compare(*files)) == ["exact_match", "sari", "bleu", "chrf", "rougeL"]


def test_the_example_of_the_docs_runs(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "evaluate-outputs.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[2].split("```")[0]
    monkeypatch.chdir(files[0].parent)
    files[0].rename("baseline.jsonl")
    files[1].rename("system.jsonl")
    exec(code, {})
    assert float(capsys.readouterr().out.split()[0]) < 0


def test_a_system_with_itself(warmstart: Run, files: tuple[Path, Path]) -> None:
    told = json.loads(warmstart("compare", files[0], files[0], "--metric", "all", "--json").out)
    assert len(told["comparisons"]) > 20
    for found in told["comparisons"].values():
        assert (found["difference"], found["p_bootstrap"], found["p_randomization"]) == (0, 1, 1)


def test_plain_text_with_files_of_sources_and_references(warmstart: Run, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a b c d e\nb\n")
    (tmp_path / "b").write_text("a b c d\nb\n")
    (tmp_path / "sources").write_text("a c\nd\n")
    for number, text in enumerate(["a b c d e\nb\n", "x\nb c\n"]):
        (tmp_path / f"references.{number}").write_text(text)
    told = json.loads(
        warmstart(
            "compare", tmp_path / "a", tmp_path / "b", "--sources", tmp_path / "sources",
            "--references", tmp_path / "references.0", tmp_path / "references.1",
            "--metric", "sari", "--json",
        ).out
    )  # fmt: skip
    assert "nrefs:2" in told["comparisons"]["sari"]["first"]["signature"]
    assert told["comparisons"]["sari"]["difference"] < 0


def test_other_sources_references_or_counts(
    warmstart: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    for field, words in (("source", "the source of line 4 is"), ("references", "line 4 are")):
        changed = [dict(row) for row in ROWS]
        changed[3][field] = "other" if field == "source" else ["other"]
        other = write(tmp_path / "c.jsonl", changed)
        warmstart("compare", files[0], other).assert_failed(1, words, "'other'")
    fewer = write(tmp_path / "d.jsonl", ROWS[:7])
    warmstart("compare", files[0], fewer).assert_failed(1, "20 outputs", "d.jsonl has 7")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--metric", "bleuu"], "'bleu'"),
        (["--metric", "length_limit"], "at_limit"),
        (["--metric", "chrf", "--tokenize", "13a"], "chrf has no option 'tokenize'"),
    ],
)
def test_wrong_use(
    warmstart: Run, files: tuple[Path, Path], options: list[str], words: str
) -> None:
    warmstart("compare", *files, *options).assert_failed(2, words)


def test_wrong_calls(files: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="give a list of files"):
        package.compare(*files, references="file")
    with pytest.raises(DataError, match="the second system has 1"):
        package.compare(files[0], SystemOutputs(outputs=["a"]))


def test_simplification_systems_on_turkcorpus(warmstart: Run) -> None:
    systems = [shared_data("turkcorpus", f"{name}.tok.low.gz") for name in ("Hybrid", "Dress-Ls")]
    references = [
        shared_data("turkcorpus", f"test.8turkers.tok.turk.{number}.gz") for number in range(8)
    ]
    sources = shared_data("turkcorpus", "test.8turkers.tok.norm.gz")
    with gzip.open(sources, "rt") as file:
        assert sum(1 for _ in file) == 359
    told = json.loads(
        warmstart(
            "compare", *systems, "--sources", sources, "--references", *references,
            "--metric", "sari_easse_legacy", "--json",
        ).out
    )  # fmt: skip
    found = told["comparisons"]["sari_easse_legacy"]
    assert found["first"]["value"] == pytest.approx(31.39665078989411, abs=1e-9)
    assert found["second"]["value"] == pytest.approx(37.266058818588216, abs=1e-9)
    assert found["p_bootstrap"] < 0.01
