import logging
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml
from tests.support.shared_data import shared_data

from warmstart.data.columns import Columns
from warmstart.data.source import parse_source
from warmstart.data.stored import keep_examples
from warmstart.errors import DataError, UsageError
from warmstart.generation.generation_config import GenerationConfig
from warmstart.metrics.all_metrics import get_metric
from warmstart.tasks import reading
from warmstart.tasks.all_tasks import TASKS, get_task_definition
from warmstart.tasks.load import load_task
from warmstart.tasks.reading import report_task
from warmstart.tasks.task import TaskDefinition

EVERY_TASK = pytest.mark.parametrize("definition", TASKS, ids=lambda definition: definition.name)

DOCS = Path(__file__).parents[2] / "docs"


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
    # The article decodes CNN/DailyMail to more tokens than it trains on.
    longer = definition.name == "cnn_dailymail"
    assert definition.generation.max_length == (142 if longer else definition.max_target_length)
    for figures in definition.published.values():
        for metric, value in figures.items():
            get_metric(metric.split()[0])
            assert 0 < value < 100


def test_unknown_task_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no task 'wiki-split'; did you mean 'wikisplit'"):
        load_task("wiki-split", tmp_path / "a.tsv")


@pytest.mark.parametrize("definition", TASKS, ids=lambda definition: definition.name)
def test_variants_are_tasks_of_their_own(definition: TaskDefinition) -> None:
    for name in definition.variants:
        variant = get_task_definition(f"{definition.name}/{name}")
        assert variant.name == f"{definition.name}/{name}"
        assert variant.metrics == definition.metrics
        assert variant == get_task_definition(f"{definition.name}/{name}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pairs/de-en", "The task pairs has no variants such as 'de-en'"),
        ("wmt14/de-fr", "WMT14 has no de-fr; did you mean 'en-fr'?"),
        ("wmt14/german", "names no pair of languages; give the source's code"),
        ("translation/de-de", "goes from de to de; give two languages"),
        ("discofuse/sport", "no part 'sport'; did you mean 'sports'"),
    ],
)
def test_unknown_variants(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        get_task_definition(name)


def test_any_language_pair_can_be_translated() -> None:
    for pair in ("ro-en", "zh_CN-pt_BR", "gsw-de"):
        assert get_task_definition(f"translation/{pair}").origin.languages == tuple(pair.split("-"))
    assert get_task_definition("wmt14/en-cs").origin.hub is not None


def test_a_task_without_data_of_its_own_needs_some() -> None:
    with pytest.raises(UsageError, match="The task pairs has no data of its own; give data=FILE"):
        load_task("pairs")


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
    assert split.generation == GenerationConfig(max_length=128)


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


def test_a_fraction_of_the_training_examples(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", 1000)
    whole = load_task("pairs", path)
    tenth = load_task("pairs", path, fraction=0.1)
    hundredth = load_task("pairs", path, fraction=0.01)
    assert tenth.split("validation").examples == whole.split("validation").examples
    sources = [set(task.split("train").sources) for task in (hundredth, tenth, whole)]
    assert sources[0] < sources[1] < sources[2]
    assert len(sources[1]) == pytest.approx(90, abs=40)
    assert load_task("pairs", path, fraction=0.1) == tenth
    other = load_task("pairs", {"train": path, "validation": path, "test": path}, fraction=0.1)
    assert [len(split) for split in other.splits.values()][1:] == [1000, 1000]
    assert len(other.split("train")) == pytest.approx(100, abs=40)
    for fraction in (0, -0.5, 1.1):
        with pytest.raises(UsageError, match=f"fraction is {fraction}; it must be above 0"):
            load_task("pairs", path, fraction=fraction)
    files = {"train": write_tsv(tmp_path / "b.tsv", 3), "validation": path}
    with pytest.raises(UsageError, match="of 3 examples is empty; give a larger one"):
        load_task("pairs", files, fraction=0.001)


def test_rows_with_an_empty_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("a\tb\n\tc\nd\te\n", encoding="utf-8")
    with caplog.at_level(logging.INFO):
        task = load_task("pairs", {"train": path, "validation": write_tsv(tmp_path / "b.tsv", 3)})
    assert task.split("train").sources == ("a", "d")
    assert [split.empty for split in task.splits.values()] == [1, 0]
    assert f"train: skipped 1 with an empty text, the first at {path}, line 2" in caplog.text
    assert report_task(task).splits["train"].empty == 1
    with pytest.raises(DataError, match=r"line 2: the column '1' is empty"):
        load_task("pairs", {"test": path})
    with pytest.raises(DataError, match=r"line 2: the column '1' is empty"):
        load_task("pairs", path, skip_empty=False)
    assert load_task("pairs", {"test": path}, skip_empty=True).split("test").empty == 1
    path.write_text("\tc\n", encoding="utf-8")
    with pytest.raises(DataError, match="every row for train is empty: 1 with an empty text, the"):
        load_task("pairs", path)


def test_what_was_left_out_is_kept_with_large_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(reading, "_WORTH_A_DIGEST", 10)
    keep = partial(keep_examples, in_memory=10)
    monkeypatch.setattr(reading, "keep_examples", keep)
    path = tmp_path / "a.tsv"
    path.write_text("source 1\ttarget 1\n\tc\nsource 2\ttarget 2\n\td\n", encoding="utf-8")
    for _ in range(2):
        split = load_task("pairs", {"train": path, "validation": path}, skip_empty=True).split(
            "train"
        )
        assert (len(split), split.empty) == (2, 2)
    assert any((tmp_path / "cache").rglob("*"))


def test_files_are_mixed_by_weight(tmp_path: Path) -> None:
    one, two = write_tsv(tmp_path / "a.tsv", 100), tmp_path / "b.tsv"
    two.write_text("x\ty\n", encoding="utf-8")
    parts = [{"file": one, "weight": 3}, {"file": two, "weight": 1}]
    task = load_task("pairs", {"train": parts, "validation": one})
    train = task.split("train").sources
    assert train.count("x") == pytest.approx(33, abs=20)
    assert len(train) == 100 + train.count("x")
    assert load_task("pairs", {"train": parts, "validation": one}) == task
    assert load_task("pairs", {"train": parts, "validation": one}, seed=1) != task


def test_what_is_repeated_in_a_mixture_is_not_held_out_and_trained_on(tmp_path: Path) -> None:
    one, two = write_tsv(tmp_path / "a.tsv", 100), tmp_path / "b.tsv"
    two.write_text("x\ty\nz\tw\n", encoding="utf-8")
    task = load_task("pairs", [{"file": one, "weight": 1}, {"file": two, "weight": 1}])
    assert not {*task.split("train").sources} & {*task.split("validation").sources}


def test_a_shorter_target_than_the_shortest_output(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", 2)
    split = load_task("cnn_dailymail", {"test": path}, max_target_length=40).split("test")
    assert (split.generation.min_length, split.generation.max_length) == (0, 40)
    split = load_task("cnn_dailymail", {"test": path}, max_target_length=60).split("test")
    assert (split.generation.min_length, split.generation.max_length) == (56, 60)


def test_lengths_and_metrics_can_be_changed(tmp_path: Path) -> None:
    split = load_task(
        "translation",
        {"test": write_tsv(tmp_path / "a.tsv", 2)},
        max_source_length=40,
        max_target_length=30,
        metrics=["chrf"],
    ).split("test")
    assert (split.max_source_length, split.max_target_length) == (40, 30)
    assert split.generation == GenerationConfig(num_beams=4, length_penalty=0.6, max_length=30)
    assert split.metrics == ("chrf",)


def test_validation_size(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", 20)
    assert len(load_task("pairs", path, validation_size=7).split("validation")) == 7
    with pytest.raises(UsageError, match="Cannot hold out 20 of 20"):
        load_task("pairs", path, validation_size=20)
    with pytest.raises(UsageError, match="omit it"):
        load_task("pairs", {"train": path, "validation": path}, validation_size=7)


def test_refuses_wrong_options(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", 20)
    with pytest.raises(UsageError, match="data has no split 'dev'; Allowed: train"):
        load_task("pairs", {"dev": path})
    with pytest.raises(UsageError, match=r"limits is .*; did you mean 'train'"):
        load_task("pairs", path, limits={"tain": 5})  # type: ignore[dict-item]
    with pytest.raises(UsageError, match=r"limits is {'train': 0}; it must be 1 or more"):
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
        "import sys, warmstart.tasks.all_tasks; "
        "print([name for name in ('torch', 'transformers', 'nltk', 'sacrebleu', 'pyarrow', "
        "'datasets', 'pandas') "
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


def test_the_documentation_names_every_task_and_its_data() -> None:
    text = (DOCS / "reference" / "tasks.md").read_text(encoding="utf-8")
    rows = {row.split("`")[1]: row for row in text.splitlines() if row.startswith("| `")}
    for definition in TASKS:
        hub = definition.origin.hub
        assert definition.name in rows
        assert hub is None or hub.name in rows[definition.name]


def test_the_mixture_of_the_documentation_is_one(tmp_path: Path) -> None:
    text = (DOCS / "how-to" / "load-data.md").read_text(encoding="utf-8")
    section = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])["task"]
    assert get_task_definition(section["name"]).name == "summarization"
    parts = parse_source(section["data"]["train"])
    assert [part.weight for part in parts] == [1, 3]
    assert parts[1].columns == Columns(source="text", targets=("title",))
