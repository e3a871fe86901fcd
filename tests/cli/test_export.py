from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers
from tests.support.command_line import Finished

from warmstart.seq2seq import Seq2Seq
from warmstart.training.lora import add_adapters
from warmstart.training.train_config import Lora

if TYPE_CHECKING:
    from tests.support.tiny import Checkpoints

Run = Callable[..., Finished]


def test_shared_layers_are_written_for_readers_that_do_not_share(
    warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path
) -> None:
    bert = checkpoints("bert")
    Seq2Seq.warm_start(encoder=bert, decoder=bert, share="all").save_pretrained(tmp_path / "model")
    finished = warmstart("export", tmp_path / "model", "-o", tmp_path / "out")
    assert (finished.code, finished.out) == (0, f"written to {tmp_path / 'out'}\n")
    theirs = transformers.EncoderDecoderModel.from_pretrained(tmp_path / "out")
    ours = Seq2Seq.from_pretrained(tmp_path / "model")
    weights = theirs.state_dict()
    name = "bert.encoder.layer.1.intermediate.dense.weight"
    assert torch.equal(weights[name.replace("bert", "encoder", 1)], weights[f"decoder.{name}"])
    assert ours.model.encoder is not None
    up = dict(ours.model.named_parameters(remove_duplicate=False))[
        "decoder.blocks.1.feed_forward.up.weight"
    ]
    assert torch.equal(weights[f"decoder.{name}"], up)


def test_what_transformers_cannot_hold(
    warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path
) -> None:
    bert = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert, lm_head="tied")
    model.save_pretrained(tmp_path / "model")
    finished = warmstart("export", tmp_path / "model", "-o", tmp_path / "out")
    finished.assert_failed(1, "transformers has no class")
    assert not (tmp_path / "out").exists()


def test_output_folders_that_are_refused(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    warmstart("export", composed, "-o", tmp_path).assert_failed(1, "not a model")
    warmstart("export", composed, "-o", composed).assert_failed(1, "--overwrite")
    warmstart("export", composed, "-o", composed, "--overwrite").assert_failed(1, "to read")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_adapter_becomes_a_model(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    model = Seq2Seq.from_pretrained(composed, device="cpu")
    adapters = add_adapters(model.model, Lora(rank=2), frozenset(), 0)
    adapters.save(tmp_path / "adapter", str(composed))
    finished = warmstart("export", tmp_path / "adapter", "--merge", "-o", tmp_path / "merged")
    assert finished.code == 0, finished.err
    weights = (tmp_path / "merged" / "model.safetensors").read_bytes()
    assert weights == (composed / "model.safetensors").read_bytes()  # nothing was trained
    warmstart("export", tmp_path / "adapter", "-o", tmp_path / "other").assert_failed(
        1, "--merge -o DIR"
    )
    warmstart("export", composed, "--merge", "-o", tmp_path / "other").assert_failed(
        1, "is not an adapter"
    )
