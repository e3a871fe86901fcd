"""What a run can be told."""

from pathlib import Path

import pytest

from warmstart.errors import UsageError
from warmstart.training.config import TrainConfig


def test_a_text_is_a_folder_too() -> None:
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
        ("learning_rate", float("nan"), "learning_rate is nan; it must be above 0"),
        ("dropout", 1.0, "dropout is 1.0; it must be at least 0 and below 1"),
        ("attention_dropout", -0.1, "attention_dropout is -0.1; it must be at least 0"),
        ("weight_decay", -1.0, "weight_decay and max_gradient_norm must be 0 or more"),
        ("max_gradient_norm", -1.0, "weight_decay and max_gradient_norm must be 0 or more"),
        ("precision", "float16", "allowed are auto, float32 and bfloat16"),
    ],
)
def test_what_is_not_allowed(name: str, value: object, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainConfig(output_dir=Path("out"), **{name: value})  # type: ignore[arg-type]
    assert reason in str(caught.value)
