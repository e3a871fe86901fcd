"""Files whose head differs from the word embedding, though the config calls the two tied."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.support.tiny import Checkpoints

from warmstart.checkpoint.rename import locate
from warmstart.composition.composition_options import LmHead
from warmstart.families.catalogue import family_of
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

APART = {"gpt2": "lm_head.weight", "opt": "lm_head.weight", "llama": "lm_head.weight",
         "gpt_neox": "embed_out.weight"}  # fmt: skip
LEFT_OUT = {
    "bert": "cls.predictions.decoder.weight",
    "roberta": "lm_head.decoder.weight",
    "distilbert": "vocab_projector.weight",
    "electra": "generator_lm_head.weight",
    "modernbert": "decoder.weight",
}


def with_head(
    folder: Path, source: Path, name: str, *, other: bool = True, prefix: str = ""
) -> torch.Tensor:
    """A copy of a checkpoint that also stores a head."""
    if source != folder:
        shutil.copytree(source, folder)
    file, config = folder / "model.safetensors", json.loads((folder / "config.json").read_text())
    tensors = load_file(file)
    own = config.get("decoder", config)
    own["tie_word_embeddings"] = True
    (folder / "config.json").write_text(json.dumps(config))
    family = family_of(own, "the decoder")
    words = locate("embedding.word.weight", family.rules(family.stack(own))).names[0]
    (found,) = [
        key for key in tensors
        if key.startswith(prefix) and family.strip(key.removeprefix(prefix)) == words
    ]  # fmt: skip
    head = tensors[found].clone()
    if other:
        head += torch.randn(head.shape, generator=torch.manual_seed(0))
    save_file({**tensors, prefix + name: head}, file, metadata={"format": "pt"})
    return head


@pytest.mark.parametrize("family", APART)
def test_the_head_of_the_file_is_kept(
    family: str, checkpoints: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As transformers does."""
    folder = tmp_path / "checkpoint"
    head = with_head(folder, checkpoints(family), APART[family])
    model = Seq2Seq.warm_start(encoder=None, decoder=folder)
    torch.testing.assert_close(model.model.head.weight.detach(), head, rtol=0, atol=0)
    assert f"ties its head to the word embedding, but {APART[family]} differs" in caplog.text
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokens = list(range(3, 13))
    with torch.inference_mode():
        ours = model.model.eval()(Sequences.of([tokens[:4]]), Sequences.of([tokens[4:]]))
        expected = theirs(torch.tensor([tokens])).logits[0, 4:]
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    model.save_pretrained(tmp_path / "saved")
    again = Seq2Seq.from_pretrained(tmp_path / "saved")
    assert torch.equal(again.model.head.weight, head)


@pytest.mark.parametrize("family", LEFT_OUT)
def test_a_head_that_cannot_be_kept_is_reported(
    family: str, checkpoints: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with_head(tmp_path / "checkpoint", checkpoints(family), LEFT_OUT[family])
    Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=tmp_path / "checkpoint")
    assert LEFT_OUT[family] in caplog.text
    assert "is left out" in caplog.text


@pytest.mark.parametrize("family", [*APART, *LEFT_OUT])
@pytest.mark.parametrize(("other", "head"), [(False, "checkpoint"), (True, "tied")])
def test_a_copy_and_a_head_that_is_not_wanted_are_no_news(
    family: str, other: bool, head: LmHead, checkpoints: Checkpoints, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    name = {**APART, **LEFT_OUT}[family]
    with_head(tmp_path / "checkpoint", checkpoints(family), name, other=other)
    if head == "tied" and family == "electra":
        pytest.skip("its word vectors are narrower")
    with caplog.at_level(logging.WARNING):
        model = Seq2Seq.warm_start(
            encoder=checkpoints("bert"), decoder=tmp_path / "checkpoint", lm_head=head
        )
    assert model.model.config.head.tied
    assert not [line for line in caplog.messages if "head" in line]


@pytest.mark.parametrize(
    ("decoder", "name", "kept"),
    [("gpt2", "lm_head.weight", True), ("bert", "cls.predictions.decoder.weight", False)],
)
def test_saved_encoder_decoders(
    decoder: str, name: str, kept: bool, checkpoints: Checkpoints, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    folder = tmp_path / "saved"
    Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints(decoder)).save_pretrained(
        folder
    )
    head = with_head(folder, folder, name, prefix="decoder.")
    model = Seq2Seq.from_pretrained(folder)
    assert torch.equal(model.model.head.weight, head) == kept
    assert f"decoder.{name}" in caplog.text


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "base_model.model."])
@pytest.mark.parametrize("family", APART)
def test_the_head_of_a_wrapped_model_is_kept(
    family: str, prefix: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    head = with_head(folder, checkpoints(family), APART[family])
    file = folder / "model.safetensors"
    wrapped = {prefix + name: tensor for name, tensor in load_file(file).items()}
    save_file(wrapped, file, metadata={"format": "pt"})
    model = Seq2Seq.warm_start(encoder=None, decoder=folder)
    assert torch.equal(model.model.head.weight, head)
