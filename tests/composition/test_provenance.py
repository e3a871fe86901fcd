"""Where every tensor comes from, told of real (tiny) checkpoints."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.support.tiny import ENCODER_FAMILIES, FAMILIES, Checkpoints

from warmstart.composition.composition_options import Share
from warmstart.composition.provenance import Entry, Provenance
from warmstart.seq2seq import Seq2Seq


def provenance_of(model: Seq2Seq) -> Provenance:
    assert model.provenance is not None
    return model.provenance


def names(provenance: Provenance, origin: str) -> set[str]:
    return {entry.name for entry in provenance if entry.origin == origin}


@pytest.mark.parametrize("share", ["none", "embeddings", "layers", "all"])
def test_every_tensor_of_the_model_is_listed_once(share: Share, checkpoints: Checkpoints) -> None:
    bert = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert, share=share)
    provenance = provenance_of(model)
    listed = [entry.name for entry in provenance if entry.origin != "unused"]
    assert listed == [name for name, _ in model.model.named_parameters(remove_duplicate=False)]
    assert provenance.total == sum(parameter.numel() for parameter in model.model.parameters())
    for entry in provenance:
        if entry.origin != "unused":
            assert entry.shape == tuple(model.model.get_parameter(entry.name).shape)
        if entry.origin == "shared":
            first = model.model.get_parameter(entry.source)
            assert model.model.get_parameter(entry.name) is first


@pytest.mark.parametrize("decoder", FAMILIES)
def test_what_a_decoder_checkpoint_lacks_is_random(decoder: str, checkpoints: Checkpoints) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints(decoder))
    random = names(provenance_of(model), "random")
    assert random
    assert all(".cross_attention." in name for name in random)


def test_every_tensor_of_a_checkpoint_is_taken_or_unused_once(checkpoints: Checkpoints) -> None:
    """One BERT serves both halves: what neither takes is its pooler and next-sentence head."""
    bert = checkpoints("bert")
    provenance = provenance_of(Seq2Seq.warm_start(encoder=bert, decoder=bert))
    unused = [(entry.name, entry.source) for entry in provenance if entry.origin == "unused"]
    assert sorted(unused) == [
        ("bert.pooler.dense.bias", str(bert)),
        ("bert.pooler.dense.weight", str(bert)),
        ("cls.seq_relationship.bias", str(bert)),
        ("cls.seq_relationship.weight", str(bert)),
    ]
    stored = {
        name: tensor.numel() for name, tensor in load_file(bert / "model.safetensors").items()
    }
    assert provenance.count("unused") == sum(stored[name] for name, _ in unused)
    # Taken twice, the encoder's and the decoder's, but for the head.
    head = sum(count for name, count in stored.items() if name.startswith("cls.predictions"))
    base = sum(stored.values()) - provenance.count("unused") - head
    assert provenance.count("leveraged") == 2 * base + head


def test_a_head_that_neither_half_takes_is_unused(checkpoints: Checkpoints) -> None:
    bert = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=checkpoints("gpt2"))
    unused = names(provenance_of(model), "unused")
    stored = load_file(bert / "model.safetensors")
    assert unused == {name for name in stored if "pooler" in name or name.startswith("cls.")}


@pytest.mark.parametrize("family", ENCODER_FAMILIES[1:])
def test_a_plain_tied_head_leaves_the_checkpoints_head_unused(
    family: str, checkpoints: Checkpoints
) -> None:
    folder = checkpoints(family)
    model = Seq2Seq.warm_start(encoder=folder, decoder=folder, lm_head="tied")
    stored = load_file(folder / "model.safetensors")
    assert names(provenance_of(model), "unused") == {
        name for name in stored if name.startswith("lm_head.")
    }


def test_of_two_checkpoints_that_share_the_decoders_gives_way(checkpoints: Checkpoints) -> None:
    first, second = checkpoints("bert"), checkpoints("bert", seed=5)
    model = Seq2Seq.warm_start(encoder=first, decoder=second, share="layers")
    unused = {(e.name, e.source) for e in provenance_of(model) if e.origin == "unused"}
    layers = {name for name in load_file(second / "model.safetensors") if ".encoder.layer." in name}
    assert layers <= {name for name, source in unused if source == str(second)}
    assert not {name for name, source in unused if source == str(first)} & layers


def test_random_halves_leverage_nothing(checkpoints: Checkpoints) -> None:
    bert = checkpoints("bert")
    rnd2rnd = Seq2Seq.warm_start(encoder=f"random:{bert}", decoder=f"random:{bert}")
    assert provenance_of(rnd2rnd).count("leveraged") == 0
    assert provenance_of(rnd2rnd).count("unused") == 0
    bert2rnd = provenance_of(Seq2Seq.warm_start(encoder=bert, decoder=f"random:{bert}"))
    assert {entry.part for entry in bert2rnd if entry.origin == "leveraged"} == {
        "encoder embedding",
        "encoder layers",
    }
    # The encoder leaves the whole head, and the random decoder does not take it up.
    assert any(name.startswith("cls.predictions") for name in names(bert2rnd, "unused"))


def test_a_bridge_is_random(checkpoints: Checkpoints) -> None:
    model = Seq2Seq.warm_start(
        encoder=checkpoints("bert", hidden_size=48), decoder=checkpoints("bert")
    )
    provenance = provenance_of(model)
    assert {"bridge.weight", "bridge.bias"} <= names(provenance, "random")
    assert provenance.count("random", ["bridge"]) == 48 * 32 + 32


def test_json_gives_it_back(checkpoints: Checkpoints, tmp_path: Path) -> None:
    bert = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert, share="embeddings")
    provenance = provenance_of(model)
    value = json.loads(json.dumps(provenance.to_json()))
    assert Provenance.from_json(value) == provenance
    assert value["parameters"] == provenance.total
    assert value["counts"]["total"]["random"] == provenance.count("random")
    assert len(value["tensors"]) == len(list(provenance))
    model.save_pretrained(tmp_path / "model")
    assert Seq2Seq.from_pretrained(tmp_path / "model").provenance == provenance


def test_the_table_counts_by_part_and_in_total() -> None:
    def entry(name: str, part: str, origin: str, *shape: int) -> Entry:
        return Entry(name=name, part=part, origin=origin, shape=shape)  # type: ignore[arg-type]

    provenance = Provenance(
        (
            entry("a", "encoder", "leveraged", 1000, 2),
            entry("b", "decoder", "shared", 1000, 2),
            entry("c", "decoder", "random", 5),
            entry("d", "not taken", "unused", 7),
        )
    )
    rows = [line.split() for line in str(provenance).splitlines()]
    assert rows == [
        ["leveraged", "shared", "random", "unused"],
        ["encoder", "2,000", "0", "0", "0"],
        ["decoder", "0", "2,000", "5", "0"],
        ["not", "taken", "0", "0", "0", "7"],
        ["total", "2,000", "2,000", "5", "7"],
        "2,005 parameters: leveraged and random; shared are counted once".split(),
    ]
    assert len({len(line) for line in str(provenance).splitlines()[:-1]}) == 1, "columns line up"
    assert provenance.total == 2005
    assert provenance.count("shared", ["decoder"]) == 2000
    assert provenance.parts() == ("encoder", "decoder", "not taken")
