import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.command_line import Finished

from warmstart.evaluation.evaluate import evaluate
from warmstart.recipe.build import build_task
from warmstart.recipe.schema import load_recipe
from warmstart.seq2seq import Seq2Seq

Run = Callable[..., Finished]


def test_a_recipe_becomes_a_model(warmstart: Run, recipe: Path, tmp_path: Path) -> None:
    finished = warmstart("train", recipe, "--set", "evaluation.metrics=[sari]", "--json")
    assert finished.code == 0, finished.err
    assert "held out 8 of the 40 training examples" in finished.err
    told = json.loads(finished.out)
    run = tmp_path / "run"
    assert (told["steps"], told["folder"]) == (4, str(run / "final"))
    # The whole recipe is kept, as it was changed, and the scores are those of the model.
    kept = load_recipe(run / "recipe.yaml")
    assert kept == load_recipe(recipe, ["evaluation.metrics=[sari]"])
    split = build_task(kept).split("validation")
    assert split.generation.max_length == 6
    scores = evaluate(Seq2Seq.from_pretrained(run / "final"), split)
    assert told["scores"]["sari"]["value"] == pytest.approx(scores["sari"].value)
    assert json.loads((run / "scores.json").read_text())["scores"] == told["scores"]
    assert list(told["scores"]) == ["sari"]
    assert (run / "metrics.jsonl").is_file()
    assert (run / "curves.png").is_file()


def test_text_for_people_and_no_evaluation(warmstart: Run, recipe: Path, tmp_path: Path) -> None:
    finished = warmstart("train", recipe, "--set", "training.max_steps=2")
    first, second = finished.out.splitlines()
    assert first.startswith("2 steps in 0 min ")
    assert second == f"model in {tmp_path / 'run' / 'final'}"
    assert not (tmp_path / "run" / "scores.json").exists()


def test_a_run_resumes(warmstart: Run, recipe: Path, tmp_path: Path) -> None:
    warmstart("train", recipe, "--set", "training.max_steps=2")
    warmstart("train", recipe).assert_failed(1, "--resume")
    finished = warmstart("train", recipe, "--resume", "--json")
    assert json.loads(finished.out)["steps"] == 4
    log = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [event["step"] for event in log if "eval_loss" in event] == [2, 4]


def test_a_dry_run_prints_and_writes_nothing(
    warmstart: Run, recipe: Path, composed: Path, tmp_path: Path
) -> None:
    finished = warmstart("train", recipe, "--dry-run")
    assert finished.code == 0, finished.err
    for words in ("the most at once", "4 of 4 examples", "after step 2, 4", "[CLS] ", "[SEP]"):
        assert words in finished.out
    assert not (tmp_path / "run").exists()
    told = json.loads(warmstart("train", recipe, "--dry-run", "--json").out)
    change = f"model={{pretrained: '{composed}'}}"
    again = json.loads(warmstart("train", recipe, "--set", change, "--dry-run", "--json").out)
    assert again["parts"]["total"] == told["parts"]["total"]
    parts = ("weights", "optimizer", "one_pass", "teacher", "process")
    assert told["memory"]["total"] == sum(told["memory"][part] for part in parts)
    variant = "model={variant: bertShare, checkpoints: {bert: nowhere/bert}}"
    warmstart("train", recipe, "--set", variant, "--dry-run").assert_failed(1, "nowhere/bert")


def test_a_scheduler_gives_the_same_command_every_time(
    warmstart: Run, recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    (tmp_path / "run").mkdir()
    (run / "notes.txt").write_text("mine")
    warmstart("train", recipe, "--auto-resume").assert_failed(1, "holds other files")
    (run / "notes.txt").unlink()
    (run / "train_config.json").write_text("{}")  # of a run that came to no checkpoint
    (run / "metrics.jsonl").write_text('{"step": 1, "seconds": 0.1, "loss": 9.9}\n')
    warmstart("train", recipe).assert_failed(1, "--auto-resume")
    short = ("train", recipe, "--auto-resume", "--set", "training.max_steps=2", "--json")
    assert json.loads(warmstart(*short).out)["steps"] == 2
    assert '"loss": 9.9' not in (run / "metrics.jsonl").read_text()
    assert json.loads((run / "train_config.json").read_text())["max_steps"] == 2
    finished = warmstart("train", recipe, "--auto-resume", "--json")
    assert json.loads(finished.out)["steps"] == 4
    assert f"resuming from {run / 'checkpoint-2'}" in finished.err


def test_one_of_several_processes_reports(
    warmstart: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    finished = warmstart("train", recipe, "--set", "training.max_steps=1")
    assert (finished.code, finished.out) == (0, "")
    assert (tmp_path / "run" / "final" / "model.safetensors").is_file()


def test_a_composed_model_is_trained_on(warmstart: Run, recipe: Path, composed: Path) -> None:
    change = f"model={{pretrained: '{composed}'}}"
    finished = warmstart(
        "train", recipe, "--set", change, "--set", "training.max_steps=1", "--json"
    )
    assert json.loads(finished.out)["steps"] == 1


def test_long_sources_are_cut_and_counted(warmstart: Run, recipe: Path) -> None:
    finished = warmstart(
        "train", recipe, "--set", "task.max_source_length=4", "--set", "training.max_steps=1"
    )
    assert finished.code == 0
    assert "of 32 sources are longer than 4 tokens and were truncated." in finished.err


def test_nothing_to_resume(warmstart: Run, recipe: Path, tmp_path: Path) -> None:
    warmstart("train", recipe, "--resume").assert_failed(1, "no checkpoint")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("training.max_step=3", ["training", "'max_steps'"]),
        ("trainig={}", ["'training'"]),
        ("model={variant: bertShre}", ["'bertShare'"]),
        ("training.max_steps=many", ["training.max_steps is 'many'"]),
        ("training.learning_rate=-1", ["learning_rate is -1"]),
        ("task.metrics=[srai]", ["'sari'"]),
    ],
)
def test_a_recipe_is_refused_before_anything_is_loaded(
    warmstart: Run, recipe: Path, tmp_path: Path, change: str, words: list[str]
) -> None:
    # The data is missing, too; that is not looked at.
    finished = warmstart("train", recipe, "--set", "task.data=nowhere.tsv", "--set", change)
    finished.assert_failed(2, str(recipe), *words)
    assert not (tmp_path / "run").exists()


def test_an_output_folder_that_holds_something_else(
    warmstart: Run, recipe: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    warmstart("train", recipe).assert_failed(1, "other files")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_run_that_ended_before_its_first_checkpoint(
    warmstart: Run, recipe: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "train_config.json").write_text("{}")
    warmstart("train", recipe).assert_failed(1, "before its first checkpoint", "remove it")
