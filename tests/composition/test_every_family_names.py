"""Task heads, wrapped names and old names of norms, in every family."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support import tiny_decoders, tiny_encoders
from tests.support.tiny import FAMILIES, Checkpoints
from torch import Tensor

from warmstart.composition.blueprint import of_checkpoints
from warmstart.composition.composition_options import CompositionOptions

EVERY = (*FAMILIES, *tiny_encoders.FAMILIES, *tiny_decoders.FAMILIES)
WRAPPERS = (
    "_orig_mod.",
    "module.",
    "_orig_mod.module.",
    "base_model.model.",
    "model.",
    "0.auto_model.",
    "_fsdp_wrapped_module.",
)
HEADS = ("classifier.weight", "qa_outputs.bias", "score.weight", "v_head.summary.weight")


def edited(
    source: Path, folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> Path:
    """A copy of a checkpoint with other tensors."""
    shutil.copytree(source, folder)
    file = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in change(load_file(file)).items()}
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


def origins(folder: Path, *, as_decoder: bool) -> dict[str, str]:
    """Origin of each of our tensors, in a composition of a checkpoint with itself."""
    options = CompositionOptions(encoder=None if as_decoder else folder, decoder=folder)
    return {entry.name: entry.origin for entry in of_checkpoints(options).provenance()}


@pytest.mark.parametrize("family", EVERY)
def test_a_task_head_is_unused_and_the_body_is_taken(
    family: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    source = checkpoints(family)
    heads = {name: torch.zeros(2, 32) for name in HEADS}
    folder = edited(source, tmp_path / "task", lambda tensors: {**tensors, **heads})
    before, after = (origins(path, as_decoder=False) for path in (source, folder))
    assert {name: after.pop(name) for name in HEADS} == dict.fromkeys(HEADS, "unused")
    assert after == before


@pytest.mark.parametrize("family", EVERY)
def test_wrappers_are_left_out_of_names(
    family: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    source = checkpoints(family)
    before = origins(source, as_decoder=True)
    for number, wrapper in enumerate(WRAPPERS):
        folder = edited(
            source,
            tmp_path / str(number),
            lambda tensors, wrapper=wrapper: {wrapper + name: tensors[name] for name in tensors},
        )
        after = origins(folder, as_decoder=True)
        assert {name.removeprefix(wrapper): after[name] for name in after} == before, wrapper


@pytest.mark.parametrize("family", EVERY)
def test_names_of_norms_in_tensorflow_are_read(
    family: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    def old(name: str) -> str:
        module, _, kind = name.rpartition(".")
        norm = "norm" in module.rpartition(".")[2].lower()
        return f"{module}.{ {'weight': 'gamma', 'bias': 'beta'}[kind] }" if norm else name

    source = checkpoints(family)
    folder = edited(
        source,
        tmp_path / "old",
        lambda tensors: {old(name): tensor for name, tensor in tensors.items()},
    )
    assert origins(folder, as_decoder=True).items() == origins(source, as_decoder=True).items()
