"""The gradient of a step does not depend on how it is computed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.support.tiny import Checkpoints
from tests.training.step_gradients import EXAMPLES, step_gradients
from torch import Tensor

from warmstart.model import attend
from warmstart.seq2seq import Seq2Seq

# Encoder (none: the source is a prefix) and decoder.
PAIRS: list[tuple[str | None, str]] = [("bert", "bert"), ("bert", "llama"), (None, "gpt2")]


def settings_for(pair: tuple[Path | None, Path], folder: Path) -> dict[str, Any]:
    """All parts of a loss; tokens can be weighted if both sides have the same."""
    teacher = Seq2Seq.warm_start(encoder=pair[0], decoder=pair[1], seed=7)
    teacher.save_pretrained(folder / "teacher")
    settings = {
        "label_smoothing": 0.1,
        "teacher": str(folder / "teacher"),
        "distillation_weight": 0.4,
        "distillation_temperature": 2.0,
    }
    return {**settings, "edit_weight": 3.0} if pair[0] in (None, pair[1]) else settings


def folders(pair: tuple[str | None, str], checkpoints: Checkpoints) -> tuple[Path | None, Path]:
    encoder, decoder = pair
    return None if encoder is None else checkpoints(encoder), checkpoints(decoder)


@pytest.fixture(params=PAIRS, ids=["bert2bert", "bert2llama", "gpt2"])
def pair(request: pytest.FixtureRequest, checkpoints: Checkpoints) -> tuple[Path | None, Path]:
    return folders(request.param, checkpoints)


def assert_same_gradient(ours: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """To the rounding of float32, of which the last bit is 1.2e-7 of a value."""
    assert ours.keys() == expected.keys()
    scale = max(float(gradient.abs().max()) for gradient in expected.values())
    assert scale > 0.1, "there is no gradient to compare"
    differences = {
        name: float((ours[name] - gradient).abs().max()) / scale
        for name, gradient in expected.items()
    }
    assert not {name: value for name, value in differences.items() if value > 2e-6}


def test_in_passes_of_any_number_and_with_recomputed_activations(
    pair: tuple[Path | None, Path], tmp_path: Path
) -> None:
    settings = settings_for(pair, tmp_path)
    expected = step_gradients(*pair, tmp_path / "whole", settings)
    for passes in (2, 4, 8):
        cut = {"batch_size": EXAMPLES // passes, "accumulation_steps": passes}
        for recomputes in (False, True) if passes == 4 else (False,):
            ours = step_gradients(
                *pair,
                tmp_path / f"{passes}-{recomputes}",
                {**settings, **cut, "activation_checkpointing": recomputes},
            )
            assert_same_gradient(ours, expected)


def test_padded_or_packed(
    pair: tuple[Path | None, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU pads the sequences of a call of attention, a CPU goes through runs of equal lengths."""
    settings = settings_for(pair, tmp_path)
    expected = step_gradients(*pair, tmp_path / "packed", settings)
    calls: list[Any] = []

    def padded(*arguments: Any, **keywords: Any) -> Tensor:
        calls.append(arguments[3].key_lengths)
        return attend.attend_padded(*arguments, **keywords)

    monkeypatch.setattr(attend, "attend_runs", padded)
    assert_same_gradient(step_gradients(*pair, tmp_path / "padded", settings), expected)
    assert any(len(set(lengths)) > 1 for lengths in calls)


@pytest.mark.slow
def test_in_two_processes(checkpoints: Checkpoints, tmp_path: Path) -> None:
    pair = folders(PAIRS[0], checkpoints)
    settings = settings_for(pair, tmp_path)
    lora = {**settings, "lora": {"rank": 2}}
    runs = [
        {**settings, "batch_size": EXAMPLES // 2},
        {**settings, "batch_size": 2, "accumulation_steps": 4, "activation_checkpointing": True},
        {**lora, "batch_size": 4, "accumulation_steps": 2},
    ]
    whole = step_gradients(*pair, tmp_path / "one", settings)
    adapted = step_gradients(*pair, tmp_path / "lora", lora)
    assert any(".lora_" in name for name in adapted)
    assert len(adapted) < len(whole)
    script = Path(__file__).with_name("step_gradients.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--master-port=0", "--standalone", str(script)]
    root = script.parents[2]
    subprocess.run(
        [*command, *map(str, pair), str(tmp_path / "two"), json.dumps(runs)],
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}"},
    )
    for run, expected in enumerate((whole, whole, adapted)):
        ours = load_file(tmp_path / "two" / str(run) / "gradients.safetensors")
        assert_same_gradient(ours, expected)
