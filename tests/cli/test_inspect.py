import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import transformers
from tests.support.command_line import Finished

if TYPE_CHECKING:
    from tests.support.tiny import Checkpoints

Run = Callable[..., Finished]


@pytest.mark.parametrize("family", ["bert", "roberta", "bert-generation", "gpt2"])
def test_a_checkpoint_is_what_transformers_says(
    warmstart: Run, checkpoints: "Checkpoints", family: str
) -> None:
    from tests.support.tiny import config_of, pretrained

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


def test_a_composed_model_prints_its_provenance(warmstart: Run, composed: Path) -> None:
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


def test_plans_side_by_side(warmstart: Run, checkpoints: "Checkpoints") -> None:
    from warmstart.seq2seq import Seq2Seq

    bert, gpt2 = checkpoints("bert"), checkpoints("gpt2", hidden_size=48)
    arguments = ["inspect", gpt2, "--plan", f"{bert},{gpt2}", "--plan", f"none,{gpt2}"]
    starts = ["--cross-attention", "copy", "--cross-attention", "merged", "--decoder-layers", "1"]
    finished = warmstart(*arguments, *starts[:-2], "--json")
    assert finished.code == 1  # a plan without an encoder has nothing to attend to
    assert "needs an encoder to attend to" in finished.err
    finished = warmstart(*arguments[:4], *starts, "--json")
    _, *plans = json.loads(finished.out)
    assert [plan["kind"] for plan in plans] == ["planned composition"] * 2
    for plan, start in zip(plans, ("copy", "merged"), strict=True):
        model = Seq2Seq.warm_start(
            encoder=bert, decoder=gpt2, cross_attention=start, decoder_layers=1
        )
        assert model.provenance is not None
        assert plan["parameters"] == sum(p.numel() for p in model.model.parameters())
        assert plan["counts"] == model.provenance.counts()
        assert plan["cross_attention"] == start
        assert plan["bridge"] is True
        assert plan["decoder"]["layers"] == 1
        assert plan["decoder"]["layers_taken"] == [0]
        assert plan["encoder"]["layers"] == 2
        assert plan["in_transformers"] == (start == "copy")
    lines = warmstart(*arguments[:4], *starts).out.splitlines()
    assert f"{bert} + {gpt2} (none, copy)" in lines[0]
    assert f"{bert} + {gpt2} (none, merged)" in lines[0]


def test_who_can_share_with_whom(warmstart: Run, checkpoints: "Checkpoints") -> None:
    bert, other = checkpoints("bert"), checkpoints("bert", seed=1)
    larger, gpt2 = checkpoints("bert", extra_words=4), checkpoints("gpt2")
    first, *_ = json.loads(warmstart("inspect", bert, other, larger, gpt2, "--json").out)
    assert first["shares_with_itself"] == "embeddings, layers, all"
    assert first[f"shares_with {other}"] == "embeddings, layers, all"
    assert first[f"shares_with {larger}"] == "layers"
    assert first[f"shares_with {gpt2}"].startswith("no: share='embeddings' needs the same")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plan", "a"], "give two checkpoints with a comma between them"),
        (["--plan", "a,b,c"], "give two checkpoints with a comma between them"),
        (["--plan", "a,b", "--share", "al"], "share is 'al'; did you mean 'all'"),
        (["--plan", "a,b", "--cross-attention", "gatd"], "did you mean 'gated'"),
        (["--plan", "a,b", "--decoder-layers", "two"], "decoder_layers is 'two'"),
    ],
)
def test_plans_that_make_no_sense(warmstart: Run, arguments: list[str], message: str) -> None:
    finished = warmstart("inspect", *arguments)
    assert finished.code == 2
    assert message in finished.err


def test_of_the_hub_only_headers_are_fetched(
    warmstart: Run, checkpoints: "Checkpoints", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is told is what a folder with the weights tells, of a checkpoint and of a plan."""
    from huggingface_hub.utils._safetensors import (
        SafetensorsFileMetadata,
        SafetensorsRepoMetadata,
        TensorInfo,
    )
    from safetensors.torch import load_file

    bert = checkpoints("bert")
    for path in bert.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(bert / "model.safetensors")

    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        assert name == "somebody/bert"
        assert not any("safetensors" in pattern for pattern in allow_patterns)
        return str(tmp_path)

    def get_safetensors_metadata(name: str, revision: str) -> SafetensorsRepoMetadata:
        file = "model.safetensors"
        infos = {
            key: TensorInfo(dtype="F32", shape=list(tensor.shape), data_offsets=(0, 0))
            for key, tensor in tensors.items()
        }
        return SafetensorsRepoMetadata(
            metadata=None,
            sharded=False,
            weight_map=dict.fromkeys(tensors, file),
            files_metadata={file: SafetensorsFileMetadata(metadata={}, tensors=infos)},
        )

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr("huggingface_hub.get_safetensors_metadata", get_safetensors_metadata)
    plan = ["--plan", "somebody/bert,somebody/bert", "--tensors", "--json"]
    on_hub = warmstart("inspect", "somebody/bert", *plan)
    assert on_hub.code == 0, on_hub.err
    plan[1] = f"{bert},{bert}"
    here = warmstart("inspect", bert, *plan)
    assert on_hub.out.replace("somebody/bert", str(bert)) == here.out
    assert not (tmp_path / "model.safetensors").exists()
