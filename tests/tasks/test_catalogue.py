import logging
import subprocess
import sys
from pathlib import Path

import pytest
from tests.shared_data import shared_data

from warmstart.errors import DataError, UsageError
from warmstart.generation.options import GenerationOptions
from warmstart.metrics.catalogue import get_metric
from warmstart.tasks.catalogue import TASKS, get_task_definition, load_task
from warmstart.tasks.task import TaskDefinition

EVERY_TASK = pytest.mark.parametrize("definition", TASKS, ids=lambda definition: definition.name)


def write_tsv(path: Path, count: int) -> Path:
    path.write_text("".join(f"source {n}\ttarget {n}\n" for n in range(count)), encoding="utf-8")
    return path


@EVERY_TASK
def test_definitions_are_whole(definition: TaskDefinition) -> None:
    assert get_task_definition(definition.name) is definition
    assert definition.description
    assert "\n" not in definition.description
    for metric in definition.metrics:
        get_metric(metric, tokenize=definition.tokenize)
    assert definition.generation.max_length == definition.max_target_length
    for figures in definition.published.values():
        for metric, value in figures.items():
            get_metric(metric.split()[0])
            assert 0 < value < 100


def test_unknown_task_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no task 'wiki-split'; did you mean 'wikisplit'"):
        load_task("wiki-split", tmp_path / "a.tsv")


@EVERY_TASK
def test_one_file_gives_train_and_validation(
    definition: TaskDefinition, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_tsv(tmp_path / "a.tsv", 50)
    with caplog.at_level(logging.INFO):
        task = load_task(definition.name, path)
    train, validation = task.split("train"), task.split("validation")
    assert (len(train), len(validation)) == (45, 5)
    assert not {*train.sources} & {*validation.sources}
    assert "held out 5 of the 50 training examples (seed 0)" in caplog.text
    assert load_task(definition.name, path) == task
    assert load_task(definition.name, path, seed=1) != task


def test_a_file_for_each_split(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {
        split: write_tsv(tmp_path / f"{split}.tsv", count)
        for split, count in (("test", 2), ("validation", 3), ("train", 4))
    }
    with caplog.at_level(logging.INFO):
        task = load_task("pairs", files)
    assert list(task.splits) == ["train", "validation", "test"]
    assert [len(split) for split in task.splits.values()] == [4, 3, 2]
    assert "held out" not in caplog.text


def test_a_training_file_alone_gives_a_validation_split(tmp_path: Path) -> None:
    task = load_task(
        "pairs",
        {"train": write_tsv(tmp_path / "a.tsv", 20), "test": write_tsv(tmp_path / "b.tsv", 3)},
    )
    assert {name: len(split) for name, split in task.splits.items()} == {
        "train": 18,
        "validation": 2,
        "test": 3,
    }


def test_evaluation_data_alone_is_taken_whole(tmp_path: Path) -> None:
    task = load_task("pairs", {"test": write_tsv(tmp_path / "a.tsv", 20)})
    assert list(task.splits) == ["test"]
    assert len(task.split("test")) == 20


def test_split_holds_what_evaluation_needs(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", 2)
    split = load_task("wikisplit", {"test": path}).split("test")
    assert split.name == "test"
    assert split.sources == ("source 0", "source 1")
    assert split.references == (("target 0",), ("target 1",))
    assert split.metrics == ("exact_match", "sari", "bleu")
    assert split.tokenize == "none"
    assert (split.max_source_length, split.max_target_length) == (128, 128)
    assert split.generation == GenerationOptions(max_length=128)


def test_unknown_split_suggests_the_nearest(tmp_path: Path) -> None:
    task = load_task("pairs", write_tsv(tmp_path / "a.tsv", 20))
    with pytest.raises(UsageError, match="no split 'valid'; did you mean 'validation'"):
        task.split("valid")


def test_limits_take_the_first_examples(tmp_path: Path) -> None:
    files = {"train": tmp_path / "a.tsv", "validation": tmp_path / "b.tsv"}
    for path in files.values():
        write_tsv(path, 9)
    task = load_task("pairs", files, limits={"validation": 2})
    assert task.split("validation").sources == ("source 0", "source 1")
    assert len(task.split("train")) == 9


def test_limits_read_no_further(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("a\tb\nc\td\nbroken\n", encoding="utf-8")
    assert len(load_task("pairs", {"test": path}, limits={"test": 2}).split("test")) == 2
    with pytest.raises(DataError, match="line 3 has 1 fields"):
        load_task("pairs", {"test": path})


def test_limits_do_not_change_what_is_held_out(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", 100)
    whole = load_task("pairs", path)
    few = load_task("pairs", path, limits={"train": 5, "validation": 3})
    assert few.split("train").examples == whole.split("train").examples[:5]
    assert few.split("validation").examples == whole.split("validation").examples[:3]


def test_lengths_and_metrics_can_be_changed(tmp_path: Path) -> None:
    split = load_task(
        "translation",
        {"test": write_tsv(tmp_path / "a.tsv", 2)},
        max_source_length=40,
        max_target_length=30,
        metrics=["chrf"],
    ).split("test")
    assert (split.max_source_length, split.max_target_length) == (40, 30)
    assert split.generation == GenerationOptions(num_beams=4, length_penalty=0.6, max_length=30)
    assert split.metrics == ("chrf",)


def test_validation_size(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", 20)
    assert len(load_task("pairs", path, validation_size=7).split("validation")) == 7
    with pytest.raises(UsageError, match="cannot hold out 20 of 20"):
        load_task("pairs", path, validation_size=20)
    with pytest.raises(UsageError, match="leave it out"):
        load_task("pairs", {"train": path, "validation": path}, validation_size=7)


def test_refuses_wrong_options(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", 20)
    with pytest.raises(UsageError, match="data has no split 'dev'; Allowed: train"):
        load_task("pairs", {"dev": path})
    with pytest.raises(UsageError, match="limits has no split 'tain'; did you mean 'train'"):
        load_task("pairs", path, limits={"tain": 5})
    with pytest.raises(UsageError, match="limit of train is 0"):
        load_task("pairs", path, limits={"train": 0})
    with pytest.raises(UsageError, match="names no file"):
        load_task("pairs", {})
    with pytest.raises(UsageError, match="max_source_length is 1"):
        load_task("pairs", path, max_source_length=1)
    with pytest.raises(UsageError, match="max_target_length is 0"):
        load_task("pairs", path, max_target_length=0)
    with pytest.raises(UsageError, match="no metric 'blue'; did you mean 'bleu'"):
        load_task("pairs", path, metrics=["blue"])
    with pytest.raises(UsageError, match="metrics is 'bleu'; give a list"):
        load_task("pairs", path, metrics="bleu")


def test_translation_reads_parallel_text(tmp_path: Path) -> None:
    for side in ("en", "de"):
        lines = "".join(f"{side} {n}\n" for n in range(10))
        (tmp_path / f"a.{side}").write_text(lines, encoding="utf-8")
    files = (tmp_path / "a.en", tmp_path / "a.de")
    task = load_task("translation", files)
    assert len(task.split("train")) == 9
    task = load_task("translation", {"test": [str(path) for path in files]})
    assert task.split("test").examples[3].target == "de 3"


def test_the_catalogue_loads_no_torch() -> None:
    code = (
        "import sys, warmstart.tasks.catalogue; "
        "print([name for name in ('torch', 'transformers', 'nltk', 'sacrebleu') "
        "if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_translation_of_multi30k() -> None:
    files = (shared_data("multi30k", "val.en.gz"), shared_data("multi30k", "val.de.gz"))
    task = load_task("translation", files)
    assert (len(task.split("train")), len(task.split("validation"))) == (913, 101)
