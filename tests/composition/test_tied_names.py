"""Word embeddings that a file stores under the name of the tied head alone."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.tiny import Checkpoints

from warmstart.checkpoint.rename import locate
from warmstart.families.catalogue import family_of
from warmstart.seq2seq import Seq2Seq


@pytest.mark.parametrize(
    ("family", "other"),
    [
        ("bert", "cls.predictions.decoder.weight"),
        ("roberta", "lm_head.decoder.weight"),
        ("gpt2", "lm_head.weight"),
        ("distilbert", "vocab_projector.weight"),
        ("opt", "lm_head.weight"),
    ],
)
def test_the_word_embedding_is_read_under_the_heads_name(
    family: str, other: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    source, folder = checkpoints(family), tmp_path / "tied"
    shutil.copytree(source, folder)
    config = json.loads((source / "config.json").read_text())
    found = family_of(config, "It")
    words = locate("embedding.word.weight", found.rules(found.stack(config))).names[0]
    tensors = {
        other if found.strip(name) == words else name: tensor
        for name, tensor in load_file(source / "model.safetensors").items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    ours, expected = (
        Seq2Seq.warm_start(encoder=None, decoder=path).model.decoder.embedding.word.weight
        for path in (folder, source)
    )
    assert torch.equal(ours, expected)
