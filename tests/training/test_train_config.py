"""The settings of a run."""

import json
import math
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from warmstart.errors import UsageError
from warmstart.training.train_config import TrainConfig

DOCS = Path(__file__).parents[2] / "docs"


def test_a_string_is_a_folder() -> None:
    config = TrainConfig(output_dir="out/run")  # type: ignore[arg-type]
    assert config.output_dir == Path("out/run")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("max_steps", 0, "max_steps is 0; it must be 1 or more"),
        ("batch_size", 0, "batch_size is 0; it must be 1 or more"),
        ("accumulation_steps", -1, "accumulation_steps is -1; it must be 1 or more"),
        ("warmup_steps", -1, "warmup_steps is -1; it must be 0 or more"),
        ("evaluate_every", -5, "evaluate_every is -5; it must be 0 or more"),
        ("evaluation_examples", 0, "evaluation_examples is 0; it must be 1 or more"),
        ("save_total_limit", 0, "save_total_limit is 0; it must be 1 or more"),
        ("log_every", 0, "log_every is 0; it must be 1 or more"),
        ("learning_rate", 0.0, "learning_rate is 0.0; it must be above 0"),
        ("learning_rate", float("nan"), "learning_rate is nan; give a finite number, above 0"),
        ("dropout", 1.0, "dropout is 1.0; it must be at least 0 and below 1"),
        ("attention_dropout", -0.1, "attention_dropout is -0.1; it must be at least 0"),
        ("weight_decay", -1.0, "weight_decay is -1.0; it must be 0 or more."),
        ("max_gradient_norm", -1.0, "max_gradient_norm is -1.0; it must be 0 or more. 0 is off."),
        ("precision", "float16", "Allowed: auto, float32, bfloat16"),
        ("label_smoothing", 1.0, "label_smoothing is 1.0; it must be at least 0 and below 1"),
        ("label_smoothing", -0.1, "label_smoothing is -0.1; it must be at least 0"),
        ("layer_decay", 0.0, "layer_decay is 0.0; it must be above 0 and at most 1"),
        ("layer_decay", 1.1, "layer_decay is 1.1; it must be above 0 and at most 1"),
        ("optimizer", "adam", "did you mean 'adamw'?"),
        ("schedule", "cosin", "did you mean 'cosine'?"),
        ("schedule", "exponential", "Allowed: linear, cosine, inverse_sqrt, constant, paper"),
        ("freeze", "encoder", "give a list: ['encoder']"),
        ("freeze", ("encoder", "decodr"), "did you mean 'decoder'?"),
        ("cross_attention_steps", -1, "cross_attention_steps is -1; it must be 0 or more"),
        ("encoder_frozen_steps", -1, "encoder_frozen_steps is -1; it must be 0 or more"),
        ("edit_weight", -1.0, "edit_weight is -1.0; it must be 0 or more"),
        ("edit_weight", float("nan"), "edit_weight is nan; give a finite number, 0 or more"),
        ("r_drop", -1.0, "r_drop is -1.0; it must be 0 or more"),
        ("distillation_weight", 0.0, "distillation_weight is 0.0; it must be above 0 and at most"),
        ("distillation_weight", 0.9, "but there is no teacher; name one (teacher: FOLDER)"),
        ("distillation_temperature", 0.0, "distillation_temperature is 0.0; it must be above 0"),
        ("max_loss", 0.0, "max_loss is 0.0; it must be above 0"),
        ("max_loss", float("nan"), "max_loss is nan; it must be above 0"),
        ("max_steps", True, "max_steps is True; give a whole number, 1 or more"),
        ("max_steps", "9", "max_steps is '9'; give a whole number, 1 or more"),
        ("teacher", 5, "teacher is 5; give a folder or a hub id."),
        ("lora", 16, "lora is 16; "),
    ],
)
def test_rejected_values(name: str, value: object, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainConfig(output_dir=Path("out"), **{name: value})  # type: ignore[arg-type]
    assert reason in str(caught.value)


@pytest.mark.parametrize("changes", [{"learning_rate": 1e-3}, {"warmup_steps": 7}])
def test_the_papers_schedule_has_its_own_rate(changes: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="leave both out, or use schedule 'inverse_sqrt'"):
        TrainConfig(output_dir=Path("out"), schedule="paper", **changes)
    assert TrainConfig(output_dir=Path("out"), schedule="paper").schedule == "paper"


def test_no_limit_is_infinite() -> None:
    config = TrainConfig(output_dir=Path("o"), max_loss=math.inf, max_gradient_norm=math.inf)
    assert (config.max_loss, config.max_gradient_norm) == (math.inf, math.inf)


def test_a_teacher_may_be_a_path() -> None:
    config = TrainConfig(output_dir=Path("o"), teacher=Path("runs/large"))  # type: ignore[arg-type]
    assert config.teacher == "runs/large"


def test_parts_may_be_a_list() -> None:
    config = TrainConfig(output_dir=Path("out"), freeze=["encoder"])
    assert config.freeze == ("encoder",)


def test_the_page_on_training_options_lists_every_option() -> None:
    page = (DOCS / "reference" / "training-options.md").read_text(encoding="utf-8")
    assert not [field.name for field in fields(TrainConfig) if f"| `{field.name}` |" not in page]


def test_the_table_of_accumulation_is_that_of_the_benchmark() -> None:
    page = (DOCS / "concepts" / "training-loss.md").read_text(encoding="utf-8")
    file = DOCS.parent / "benchmarks" / "results" / "accumulation.json"
    for row in json.loads(file.read_text())["gradient_norms"]:
        line = f"| {row['passes']} | {row['warmstart']:.3f} | {row['transformers']:.3f} |"
        assert line in page


def test_the_table_of_caches_is_that_of_the_benchmark() -> None:
    page = (DOCS / "reference" / "training-performance.md").read_text(encoding="utf-8")
    file = DOCS.parent / "benchmarks" / "results" / "shape_caches.json"
    for run in json.loads(file.read_text())["runs"]:
        capacities = [run["ONEDNN_PRIMITIVE_CACHE_CAPACITY"], run["LRU_CACHE_CAPACITY"]]
        assert f"| {' | '.join(map(str, [*capacities, *run['megabytes']]))} |" in page


@pytest.mark.parametrize("name", ["ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"])
@pytest.mark.parametrize(("own", "expected"), [(None, "128"), ("7", "7")])
def test_few_shapes_are_kept_by_default(name: str, own: str | None, expected: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != name}
    environment |= {} if own is None else {name: own}
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import os, warmstart; print(os.environ['{name}'])",
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.strip() == expected
