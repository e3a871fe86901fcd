import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
import transformers
from tests.support.command_line import Finished

from warmstart.composition.provenance import Provenance
from warmstart.seq2seq import Seq2Seq

if TYPE_CHECKING:
    from tests.support.tiny import Checkpoints

Run = Callable[..., Finished]


def test_two_checkpoints(warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path) -> None:
    bert, gpt2 = checkpoints("bert"), checkpoints("gpt2")
    finished = warmstart("compose", bert, gpt2, "-o", tmp_path / "model")
    model = Seq2Seq.from_pretrained(tmp_path / "model")
    random = "Random until the model is trained: cross-attention. Outputs mean nothing before.\n"
    assert (finished.code, finished.err) == (0, random)
    assert finished.out == f"{model.provenance}\nwritten to {tmp_path / 'model'}\n"
    theirs = transformers.BertModel.from_pretrained(bert)
    assert model.model.encoder is not None
    assert torch.equal(model.model.encoder.embedding.word.weight, _words(theirs))


def _words(bert: transformers.BertModel) -> torch.Tensor:
    weight: torch.Tensor = bert.get_input_embeddings().weight
    return weight


def test_options_are_those_of_python(
    warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path
) -> None:
    bert = checkpoints("bert")
    options = ["--share", "all", "--lm-head", "tied", "--cross-attention", "random", "--seed", 3]
    finished = warmstart("compose", bert, bert, "-o", tmp_path / "model", *options, "--json")
    expected = Seq2Seq.warm_start(encoder=bert, decoder=bert, share="all", lm_head="tied", seed=3)
    assert expected.provenance is not None
    told = json.loads(finished.out)
    assert told["parameters"] == sum(p.numel() for p in expected.model.parameters())
    assert told["counts"] == expected.provenance.counts()
    written = Seq2Seq.from_pretrained(tmp_path / "model").model.state_dict()
    for name, tensor in expected.model.state_dict().items():
        assert torch.equal(written[name], tensor), name


def test_starts_layers_and_vocabulary(
    warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path
) -> None:
    bert, gpt2 = checkpoints("bert", layers=4), checkpoints("gpt2", hidden_size=48)
    options = ["--cross-attention", "merged", "--encoder-layers", "0,2,3", "--decoder-layers", 1]
    options += ["--target-vocabulary", "encoder", "--json"]
    told = json.loads(warmstart("compose", bert, gpt2, "-o", tmp_path / "model", *options).out)
    expected = Seq2Seq.warm_start(
        encoder=bert,
        decoder=gpt2,
        cross_attention="merged",
        encoder_layers=[0, 2, 3],
        decoder_layers=1,
        target_vocabulary="encoder",
    )
    assert expected.provenance is not None
    assert told["counts"] == expected.provenance.counts()
    written = Seq2Seq.from_pretrained(tmp_path / "model")
    assert written.composition.options() == expected.composition.options()
    for name, tensor in expected.model.state_dict().items():
        assert torch.equal(written.model.state_dict()[name], tensor), name
    layers = ["--decoder-layers", "0,x"]
    refused = warmstart("compose", bert, gpt2, "-o", tmp_path / "other", *layers)
    assert refused.code == 2
    assert "decoder_layers is '0,x'; give a number of layers (2)" in refused.err
    assert not (tmp_path / "other").exists()


def test_random_and_none(warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path) -> None:
    bert, gpt2 = checkpoints("bert"), checkpoints("gpt2")
    random = warmstart("compose", f"random:{bert}", gpt2, "-o", tmp_path / "random", "--json")
    counts = json.loads(random.out)["counts"]
    assert counts["encoder layers"]["leveraged"] == 0
    assert counts["decoder layers"]["random"] == 0
    alone = warmstart("compose", "none", gpt2, "-o", tmp_path / "alone", "--json")
    assert "encoder layers" not in json.loads(alone.out)["counts"]
    assert Seq2Seq.from_pretrained(tmp_path / "alone").model.encoder is None


def test_a_variant(warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path) -> None:
    bert = checkpoints("bert")
    finished = warmstart(
        "compose", "--variant", "bertShare", "--bert", bert, "-o", tmp_path / "model"
    )
    expected = Seq2Seq.from_variant("bertShare", checkpoints={"bert": bert})
    assert finished.out.startswith(str(expected.provenance))
    assert isinstance(Seq2Seq.from_pretrained(tmp_path / "model").provenance, Provenance)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bert"], ["ENCODER", "--variant"]),
        (["bert", "bert", "--size", "large"], ["--size"]),
        (["bert", "bert", "--gpt2", "gpt2"], ["--gpt2"]),
        (["bert", "bert", "--variant", "bertShare"], ["ENCODER"]),
        (["--variant", "bertShare", "--share", "all"], ["--share"]),
        (["--variant", "bertShre"], ["'bertShare'"]),
        (["--variant", "bertShare", "--gpt2", "x"], ["'gpt2'", "bert"]),
    ],
)
def test_options_that_contradict_each_other(
    warmstart: Run, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    finished = warmstart("compose", *arguments, "-o", tmp_path / "model")
    finished.assert_failed(2, *words)
    assert not (tmp_path / "model").exists()


def test_a_model_is_replaced_only_when_asked(
    warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path
) -> None:
    bert = checkpoints("bert")
    warmstart("compose", bert, bert, "-o", tmp_path / "model")
    before = (tmp_path / "model" / "config.json").read_bytes()
    again = ("compose", bert, bert, "-o", tmp_path / "model", "--share", "all")
    warmstart(*again).assert_failed(1, "--overwrite")
    assert (tmp_path / "model" / "config.json").read_bytes() == before
    assert warmstart(*again, "--overwrite").code == 0
    assert Seq2Seq.from_pretrained(tmp_path / "model").composition.share == "all"


def test_a_checkpoint_is_not_overwritten_by_its_own_composition(
    warmstart: Run, checkpoints: "Checkpoints"
) -> None:
    bert = checkpoints("bert")
    for name in (bert, f"random:{bert}"):
        finished = warmstart("compose", name, bert, "-o", bert, "--overwrite")
        finished.assert_failed(1, "is a checkpoint to read")
    assert (bert / "model.safetensors").is_file()
