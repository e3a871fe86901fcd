import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import transformers
from tests.cli.conftest import Finished

if TYPE_CHECKING:
    from tests.tiny import Checkpoints

Run = Callable[..., Finished]


@pytest.mark.parametrize("family", ["bert", "roberta", "bert-generation", "gpt2"])
def test_a_checkpoint_is_what_transformers_says(
    warmstart: Run, checkpoints: "Checkpoints", family: str
) -> None:
    from tests.tiny import config_of, pretrained

    folder = checkpoints(family)
    (told,) = json.loads(warmstart("inspect", folder, "--json").out)
    model = pretrained(config_of(family))
    config, tokenizer = model.config, transformers.AutoTokenizer.from_pretrained(folder)
    assert told["family"] == family
    assert told["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert told["layers"] == config.num_hidden_layers
    assert told["hidden_size"] == config.hidden_size
    assert told["vocabulary"] == config.vocab_size
    assert told["positions"] == 64
    end = tokenizer.sep_token_id if family == "bert" else tokenizer.eos_token_id
    assert told["target_tokens"]["end"] == f"{tokenizer.convert_ids_to_tokens(end)} ({end})"
    assert told["pretrained_as"] == ("decoder" if family == "gpt2" else "encoder")


def test_side_by_side(warmstart: Run, checkpoints: "Checkpoints", composed: Path) -> None:
    bert, gpt2 = checkpoints("bert"), checkpoints("gpt2")
    finished = warmstart("inspect", bert, gpt2, composed)
    assert (finished.code, finished.err) == (0, "")
    lines = finished.out.splitlines()
    assert lines[0].split() == [str(bert), str(gpt2), str(composed)]
    assert next(line for line in lines if line.startswith("family")).split() == [
        "family",
        "bert",
        "gpt2",
    ]


def test_a_composed_model_tells_its_provenance(warmstart: Run, composed: Path) -> None:
    from warmstart.seq2seq import Seq2Seq

    model = Seq2Seq.from_pretrained(composed)
    assert model.provenance is not None
    (told,) = json.loads(warmstart("inspect", composed, "--json").out)
    assert told["parameters"] == sum(parameter.numel() for parameter in model.model.parameters())
    assert told["counts"] == model.provenance.counts()
    assert told["encoder"]["layers"] == told["decoder"]["layers"] == 2
    assert told["in_transformers"] is True
    assert "tensors" in told
    assert str(model.provenance) in warmstart("inspect", composed).out


def test_every_tensor(warmstart: Run, checkpoints: "Checkpoints", composed: Path) -> None:
    from safetensors import safe_open

    bert = checkpoints("bert")
    finished = warmstart("inspect", bert, composed, "--tensors", "--json")
    of_bert, of_model = json.loads(finished.out)
    with safe_open(bert / "model.safetensors", framework="pt") as file:
        shapes = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    assert {tensor["name"]: tensor["shape"] for tensor in of_bert["tensors"]} == shapes
    origins = {tensor["name"]: tensor["origin"] for tensor in of_model["tensors"]}
    assert origins["decoder.blocks.0.cross_attention.query.weight"] == "random"
    assert origins["decoder.blocks.0.self_attention.qkv.weight"] == "leveraged"
    text = warmstart("inspect", composed, "--tensors").out
    assert "decoder.blocks.0.cross_attention.query.weight" in text


# Rothe et al. (2020), table 1, with the language-modelling head tied and without a pooler.
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bert2bert", 221_140_992),
        ("bertShare", 136_086_528),
        ("robertaShare", 152_421_888),
        ("rnd2gpt", 237_861_120),
        ("roberta2gpt", 276_861_696),
    ],
)
def test_a_variant_from_configurations_alone(warmstart: Run, name: str, parameters: int) -> None:
    finished = warmstart("inspect", "--variant", name)
    assert f"{parameters:,} parameters" in finished.out
    (told,) = json.loads(warmstart("inspect", "--variant", name, "--json").out)
    assert told["parameters"] == parameters
    assert told["counts"]["cross-attention"]["random"] == 28_366_848


def test_a_large_variant_is_larger(warmstart: Run) -> None:
    finished = warmstart("inspect", "--variant", "bertShare", "--size", "large", "--json")
    assert json.loads(finished.out)[0]["parameters"] > 2 * 136_086_528


def test_a_missing_tokenizer_is_a_fact(
    warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path
) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((checkpoints("bert") / name).read_bytes())
    (told,) = json.loads(warmstart("inspect", tmp_path, "--json").out)
    assert "is missing" in told["tokenizer"]


def test_nothing_to_inspect(warmstart: Run) -> None:
    warmstart("inspect").assert_failed(2, "MODEL", "--variant")
