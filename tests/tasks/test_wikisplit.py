import gzip
from pathlib import Path

import pytest
from tests.support.scoring import scored
from tests.support.shared_data import shared_data

from warmstart.data.example import Example
from warmstart.metrics.all_metrics import get_metric
from warmstart.tasks.load import load_task
from warmstart.tasks.wikisplit import WIKISPLIT


def test_joins_the_two_sentences_with_one_space(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('A " and b .\tA " . <::::> B .\n', encoding="utf-8")
    examples = load_task("wikisplit", {"test": path}).split("test").examples
    assert examples == (Example('A " and b .', ('A " . B .',)),)


def test_takes_other_forms_through_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,long,short\n1,A and b .,A . B .\n", encoding="utf-8")
    task = load_task("wikisplit", {"test": path}, columns={"source": "long", "target": "short"})
    assert task.split("test").examples == (Example("A and b .", ("A . B .",)),)


def test_published_files() -> None:
    path = shared_data("wikisplit", "validation.tsv.gz")
    examples = load_task("wikisplit", {"validation": path}).split("validation").examples
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        lines = file.read().removesuffix("\n").split("\n")
    assert len(examples) == len(lines) == 5000
    for example, line in zip(examples, lines, strict=True):
        source, target = line.split("\t")
        assert (example.source, example.target) == (source, target.replace(" <::::> ", " "))


def test_references_score_100_and_copies_do_not_match() -> None:
    path = shared_data("wikisplit", "validation.tsv.gz")
    split = load_task("wikisplit", {"test": path}, limits={"test": 200}).split("test")
    for name in split.metrics:
        metric = get_metric(name, tokenize=split.tokenize)
        targets = [example.target for example in split.examples]
        assert scored(metric, split.sources, targets, split.references).value == pytest.approx(100)
        assert scored(metric, split.sources, split.sources, split.references).value < 80


def test_published_figures_are_those_of_the_paper() -> None:
    assert WIKISPLIT.published["bertShare"] == {"exact_match": 16.3, "sari": 63.5, "bleu": 77.2}
    assert len(WIKISPLIT.published) == 12
