"""Scores that are not numbers are told, once a batch at most."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.tiny import Checkpoints

from warmstart.errors import CheckpointError
from warmstart.seq2seq import Seq2Seq

TOLD = "scores are not numbers (NaN or infinite)"


@pytest.fixture(scope="module")
def saved(checkpoints: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "saved"
    bert = checkpoints("bert")
    Seq2Seq.warm_start(encoder=bert, decoder=bert).save_pretrained(folder)
    return folder


def changed(source: Path, folder: Path, tensor: str, value: float) -> Path:
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tensors = load_file(source / "model.safetensors")
    (name,) = [name for name in tensors if name.endswith(tensor)]
    tensors[name].view(-1)[:3] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "tensor",
    [
        "encoder.encoder.layer.0.output.dense.weight",
        "decoder.bert.encoder.layer.1.output.dense.bias",
        "decoder.bert.embeddings.LayerNorm.weight",
    ],
)
@pytest.mark.parametrize(
    "options", [{}, {"num_beams": 3}, {"do_sample": True}, {"draft": "source"}], ids=str
)
def test_a_sentence_a_batch(
    value: float, tensor: str, options: dict[str, Any], saved: Path, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    model = Seq2Seq.from_pretrained(changed(saved, tmp_path / "model", tensor, value))
    model.generate(["the cat", "a dog"] * 2, max_length=9, batch_size=2, **options)
    assert sum(TOLD in line for line in caplog.messages) == 2


def test_numbers_are_no_news(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = Seq2Seq.from_pretrained(saved)
    model.generate(["the cat"], max_length=9)
    model.generate(["the cat"], max_length=9, num_beams=2)
    assert TOLD not in caplog.text


@pytest.mark.parametrize(
    "dtype",
    [torch.int8, torch.uint8, torch.int32, torch.int64, torch.bool, torch.complex64,
     torch.float8_e4m3fn, torch.float8_e5m2],
)  # fmt: skip
def test_weights_of_other_types_are_refused(
    dtype: torch.dtype, saved: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in saved.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tensors = load_file(saved / "model.safetensors")
    name = next(name for name in tensors if name.endswith("layer.0.output.dense.weight"))
    tensors[name] = tensors[name].to(dtype)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"is of type {str(dtype)[6:]}, but weights are of"):
        Seq2Seq.from_pretrained(folder)
