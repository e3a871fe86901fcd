"""Devices: chosen by default, by name, or refused with the names of those that are there."""

from pathlib import Path

import pytest
import torch
from tests.support.tiny import Checkpoints

from warmstart import Job, Seq2Seq
from warmstart.cli.main import run
from warmstart.errors import UsageError
from warmstart.model import device as device_module
from warmstart.model.device import choose_device, default_device


def test_the_default_is_a_cuda_gpu_or_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert default_device() == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_device() == "cpu"


def test_an_apple_gpu_is_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    device_module._report_mps.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert [default_device(), default_device()] == ["cpu", "cpu"]
    (record,) = caplog.records
    assert "--device mps" in record.getMessage()


def test_devices_by_name() -> None:
    assert choose_device("cpu") == choose_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "xpu", "", "cpu:x", "meta:meta"])
def test_a_device_that_is_not_here_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"which is not on this machine .*give one of cpu"):
        choose_device(name)


def test_every_verb_that_computes_has_the_option(
    tmp_path: Path, checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoints("bert", seed=1)
    Seq2Seq.warm_start(folder, folder).save_pretrained(tmp_path / "model")
    words = ("cat", "dog", "bird", "house")
    (tmp_path / "pairs.tsv").write_text("".join(f"the {word}\ta {word}\n" for word in words))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {{pretrained: {tmp_path / 'model'}}}\n"
        f"task: {{name: pairs, data: {tmp_path / 'pairs.tsv'}, validation_size: 1}}\n"
        f"training: {{output_dir: {tmp_path / 'out'}, max_steps: 1}}\n"
    )
    model, data = str(tmp_path / "model"), str(tmp_path / "pairs.tsv")
    for command in (
        ["generate", model, data, "--input-format", "text", "-o", str(tmp_path / "outputs.txt")],
        ["evaluate", model, "--data", data],
        ["doctor", model],
        ["data", "pseudo-labels", model, "--data", data, "-o", str(tmp_path / "made.jsonl")],
        ["train", str(recipe)],
    ):
        assert run([*command, "--device", "cuda:99"]) == 2, command
        assert "which is not on this machine" in capsys.readouterr().err
    assert run(["evaluate", model, "--data", data, "--device", "cpu"]) == 0


def test_the_device_is_no_setting_of_outputs() -> None:
    """A job that is resumed on another device continues."""
    assert Job(model="m", device="cpu").settings() == Job(model="m").settings()
