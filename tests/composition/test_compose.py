"""What a warm start takes over and what it makes new, against the checkpoints' own files."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.tiny import ENCODER_FAMILIES, FAMILIES, Checkpoints
from torch import Tensor

from warmstart.errors import CheckpointError, CompositionError, ConversionError
from warmstart.seq2seq import Seq2Seq

# What a family's pre-trained model puts before its base model's names.
BASE = {"bert": "bert.", "bert-generation": "bert.", "gpt2": "transformer."}


def saved_tensors(model: Seq2Seq, folder: Path) -> dict[str, Tensor]:
    """The model's tensors under Hugging Face's names."""
    model.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("decoder", FAMILIES)
def test_at_the_start_every_weight_but_cross_attention_is_its_checkpoints(
    decoder: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """Rothe et al. (2020): only cross-attention is new. Bit for bit, whatever the names."""
    folders = checkpoints("roberta", seed=1), checkpoints(decoder, seed=2)
    model = Seq2Seq.warm_start(encoder=folders[0], decoder=folders[1])
    saved = saved_tensors(model, tmp_path / "model")
    encoder, original = (load_file(folder / "model.safetensors") for folder in folders)
    for name, tensor in saved.items():
        side, _, rest = name.partition(".")
        if side == "encoder":
            assert torch.equal(tensor, encoder[f"roberta.{rest}"]), name
        elif ".crossattention." in name or ".ln_cross_attn." in name:
            assert rest not in original
        else:
            assert torch.equal(tensor, original[rest]), name
    unused = ("pooler.", "seq_relationship.", "position_ids", "attn.bias", "masked_bias")
    wanted = {name for name in original if not any(part in name for part in unused)}
    assert wanted <= {name.removeprefix("decoder.") for name in saved}


@pytest.mark.parametrize("family", ENCODER_FAMILIES)
def test_a_base_model_without_head_serves_both_halves(
    family: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """A checkpoint saved without prefix and head gets a random head transform."""
    folder = copy(checkpoints(family), tmp_path / "base")
    tensors = load_file(folder / "model.safetensors")
    prefix = BASE.get(family, "roberta.")
    save_file(
        {
            name.removeprefix(prefix): tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        },
        folder / "model.safetensors",
    )
    bare = Seq2Seq.warm_start(encoder=folder, decoder=folder)
    whole = Seq2Seq.warm_start(encoder=checkpoints(family), decoder=checkpoints(family))
    for name, parameter in whole.model.named_parameters():
        other = bare.model.get_parameter(name)
        if name.startswith("head."):
            assert not torch.equal(parameter, other), name
        else:
            assert torch.equal(parameter, other), name
    assert bare.provenance is not None
    assert bare.provenance.count("random", ["head"]) == sum(
        parameter.numel()
        for name, parameter in bare.model.named_parameters()
        if name.startswith("head.")
    )


def test_an_old_checkpoint_names_its_norms_as_tensorflow_did(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = copy(checkpoints("bert"), tmp_path / "old")
    tensors = load_file(folder / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in tensors.items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(64)[None]  # a buffer of old versions
    old["cls.predictions.decoder.weight"] = old["bert.embeddings.word_embeddings.weight"].clone()
    save_file(old, folder / "model.safetensors")
    from_old = Seq2Seq.warm_start(encoder=folder, decoder=folder)
    from_new = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("bert"))
    expected = from_new.model.state_dict()
    for name, tensor in from_old.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_new_weights_are_normal_and_norms_neutral(checkpoints: Checkpoints) -> None:
    bert = checkpoints("bert", hidden_size=64)
    model = Seq2Seq.warm_start(encoder=bert, decoder=f"random:{bert}")
    decoder = dict(model.model.decoder.named_parameters())
    matrices = torch.cat([p.flatten() for p in decoder.values() if p.dim() == 2])
    assert matrices.mean().item() == pytest.approx(0.0, abs=5e-4)
    assert matrices.std().item() == pytest.approx(0.02, rel=0.02)  # the config's range
    for name, parameter in decoder.items():
        if name.endswith("norm.weight"):
            assert (parameter == 1).all(), name
        elif parameter.dim() == 1:
            assert (parameter == 0).all(), name


def test_the_seed_alone_decides_what_is_new(checkpoints: Checkpoints) -> None:
    bert, gpt2 = checkpoints("bert"), checkpoints("gpt2")

    def cross(seed: int, encoder: str | Path = bert, layer: int = 1) -> Tensor:
        torch.manual_seed(99 + seed)  # torch's own stream does not matter
        model = Seq2Seq.warm_start(encoder=encoder, decoder=gpt2, seed=seed)
        return model.model.get_parameter(f"decoder.blocks.{layer}.cross_attention.query.weight")

    assert torch.equal(cross(0), cross(0))
    assert not torch.equal(cross(0), cross(1))
    assert not torch.equal(cross(0), cross(0, layer=0)), "each tensor has a stream of its own"
    # And a tensor that is new in two compositions starts equal in both.
    assert torch.equal(cross(0), cross(0, f"random:{bert}"))
    assert torch.equal(cross(0), cross(0, checkpoints("roberta")))


def test_the_callers_random_state_is_left_alone(checkpoints: Checkpoints) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=f"random:{checkpoints('gpt2')}")
    assert torch.equal(torch.get_rng_state(), before)


def test_all_mismatches_are_reported_at_once(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = copy(checkpoints("bert"), tmp_path / "broken")
    tensors = load_file(folder / "model.safetensors")
    layer = "bert.encoder.layer.0"
    tensors[f"{layer}.attention.selv.query.weight"] = tensors.pop(
        f"{layer}.attention.self.query.weight"
    )
    tensors[f"{layer}.classifier.weight"] = torch.zeros(2, 32)
    tensors[f"{layer}.output.dense.bias"] = torch.zeros(33)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ConversionError) as caught:
        Seq2Seq.warm_start(encoder=folder, decoder=checkpoints("bert"))
    message = str(caught.value)
    assert f"The tensors of {folder} (bert) do not fit its config" in message
    query = "encoder.layer.0.attention.self.query.weight"
    assert f"1 missing ({query}, nearest {query.replace('self', 'selv')})" in message
    assert "2 unexpected (" in message
    assert "; encoder.layer.0.classifier.weight)" in message
    assert "output.dense.bias is [33] where the config has [32])" in message


def test_half_of_a_cross_attention_is_not_taken_for_none(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """A decoder that was saved with cross-attention and lost a part of it must not be mended."""
    folder = copy(checkpoints("bert"), tmp_path / "half")
    tensors = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.0.crossattention.self.query.weight"
    tensors[name] = torch.zeros(32, 32)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ConversionError, match=r"missing .*crossattention"):
        Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=folder)


def test_cross_attention_of_a_checkpoint_is_leveraged(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    first = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("gpt2"), seed=3)
    saved = saved_tensors(first, tmp_path / "model")
    decoder = copy(checkpoints("gpt2"), tmp_path / "decoder")
    save_file(
        {
            name.removeprefix("decoder."): tensor
            for name, tensor in saved.items()
            if name.startswith("decoder.")
        },
        decoder / "model.safetensors",
    )
    again = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=decoder, seed=4)
    assert again.provenance is not None
    assert again.provenance.count("random") == 0
    expected = first.model.state_dict()
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_a_head_that_is_not_tied_is_refused_where_its_bias_is_ambiguous(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = copy(checkpoints("bert"), tmp_path / "untied", tie_word_embeddings=False)
    with pytest.raises(CompositionError, match=r"tie_word_embeddings false.*lm_head='tied'"):
        Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=folder)
    model = Seq2Seq.warm_start(encoder=folder, decoder=folder, lm_head="tied")
    assert model.model.head.weight is model.model.decoder.embedding.word.weight


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        ("bert", {"position_embedding_type": "relative_key"}, "only 'absolute' can be composed"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ("bert", {"hidden_act": "gellu"}, "did you mean 'gelu'"),
        ("bert", {"hidden_size": None}, "has no 'hidden_size'"),
        ("bert", {"model_type": "bart"}, "Allowed: bert, roberta, xlm-roberta, camembert"),
        ("bert", {"num_hidden_layers": 3}, "16 missing"),
        ("bert", {"vocab_size": 99}, "where the config has [99, 32]"),
    ],
)
def test_configs_that_cannot_be_composed(
    family: str,
    changes: dict[str, object],
    reason: str,
    checkpoints: Checkpoints,
    tmp_path: Path,
) -> None:
    folder = copy(checkpoints(family), tmp_path / "changed", **changes)
    with pytest.raises(CheckpointError) as caught:
        Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=folder)
    assert reason in str(caught.value)


def copy(folder: Path, to: Path, **changes: object) -> Path:
    """A copy of a checkpoint, perhaps with another config."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**config, **changes}))
    return to
