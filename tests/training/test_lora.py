"""Adapters: one for each shared layer, merged without a difference, and resumed like weights."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.support.tiny import Checkpoints
from tests.training.runs import copy_task, log_of, quick, seq2seq
from torch import Tensor

from warmstart.composition.composition_options import CrossAttentionStart, Share
from warmstart.errors import CheckpointError, UsageError
from warmstart.evaluation.evaluate import target_loss
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq
from warmstart.training.lora import Adapters, add_adapters, load_adapters
from warmstart.training.parameters import new_parameters
from warmstart.training.train import train
from warmstart.training.train_config import Lora, TrainConfig

RANK = 4
# Layers, width and inner width of the tiny checkpoints.
LAYERS, WIDTH, INNER = 2, 32, 64


def composed(
    checkpoints: Checkpoints, share: Share, cross_attention: CrossAttentionStart = "random"
) -> Seq2Seq:
    bert = checkpoints("bert")
    return Seq2Seq.warm_start(
        encoder=bert, decoder=bert, share=share, cross_attention=cross_attention
    )


def adapted(model: Seq2Seq, targets: Any = None) -> Adapters:
    new = new_parameters(model.model, model.provenance)
    return add_adapters(model.model, Lora(rank=RANK, alpha=8.0, targets=targets), new, 0)


def stir(model: EncoderDecoder) -> None:
    """As if trained: adapters start at zero, which would show nothing."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def batch() -> tuple[Sequences, Sequences]:
    generator = torch.Generator().manual_seed(2)
    return tuple(  # type: ignore[return-value]
        Sequences(torch.randint(5, 30, (sum(lengths),), generator=generator), lengths)
        for lengths in ((5, 2, 7), (3, 6, 2))
    )


@torch.no_grad()
def logits(model: Seq2Seq) -> Tensor:
    output: Tensor = model.model.eval()(*batch())
    return output


def pairs(shape: tuple[int, int]) -> int:
    """Values of an adapter of a layer."""
    return RANK * sum(shape)


# An adapted layer's inputs and outputs: self-attention, and feed-forward.
ATTENTION = [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH)]
CROSS = [(WIDTH, WIDTH), (WIDTH, 2 * WIDTH), (WIDTH, WIDTH)]
FEED_FORWARD = [(WIDTH, INNER), (INNER, WIDTH)]


@pytest.mark.parametrize(
    ("share", "cross_attention", "targets", "layers"),
    [
        ("none", "random", None, 2 * (ATTENTION + FEED_FORWARD)),
        ("embeddings", "random", None, 2 * (ATTENTION + FEED_FORWARD)),
        ("layers", "random", None, ATTENTION + FEED_FORWARD),
        ("all", "random", None, ATTENTION + FEED_FORWARD),
        ("all", "copy", None, ATTENTION + FEED_FORWARD + CROSS),
        ("all", "random", ["cross_attention"], CROSS),
        ("cross", "copy", ["self_attention"], 2 * ATTENTION),
        ("all+cross", "copy", None, ATTENTION + FEED_FORWARD),
        ("all", "merged", ["self_attention"], ATTENTION),
    ],
)
def test_a_shared_layer_has_one_adapter(
    share: Share,
    cross_attention: CrossAttentionStart,
    targets: Any,
    layers: list[tuple[int, int]],
    checkpoints: Checkpoints,
    tmp_path: Path,
) -> None:
    """Counted, unmerged against merged, merged against saved and loaded, and shared as before."""
    model = composed(checkpoints, share, cross_attention)
    trained_before = {id(p) for p in model.model.parameters() if p.requires_grad}
    count = sum(p.numel() for p in model.model.parameters())
    names = set(model.model.state_dict())
    plain = logits(model)
    model.save_pretrained(tmp_path / "base")
    adapters = adapted(model, targets)
    assert torch.equal(logits(model), plain), "at first an adapter changes nothing"
    lora = [p for name, p in model.model.named_parameters() if ".lora_" in name]
    assert sum(p.numel() for p in lora) == LAYERS * sum(map(pairs, layers))
    stir(model.model)
    unmerged = logits(model)
    assert (unmerged - plain).abs().max() > 1e-2
    adapters.save(tmp_path / "adapter", "../base")
    copied = adapters.merged(model)
    loaded, others = load_adapters(tmp_path / "adapter")
    torch.testing.assert_close(logits(loaded), unmerged, rtol=0, atol=1e-6)
    adapters.merge()
    others.merge()
    model.save_pretrained(tmp_path / "merged")
    again = Seq2Seq.from_pretrained(tmp_path / "merged", device="cpu")
    for merged in (model, copied, loaded, again):
        torch.testing.assert_close(logits(merged), unmerged, rtol=1e-4, atol=1e-5)
        assert set(merged.model.state_dict()) == names
        assert sum(p.numel() for p in merged.model.parameters()) == count
    assert {id(p) for p in model.model.parameters() if p.requires_grad} == trained_before


@pytest.mark.parametrize("share", ["none", "all", "all+cross"])
def test_decoding_sees_the_adapters(share: Share, checkpoints: Checkpoints) -> None:
    model = composed(checkpoints, share, "copy")
    adapters = adapted(model)
    stir(model.model)
    source, target = batch()
    expected = logits(model)
    with torch.no_grad():
        cache = model.model.start(Sequences(source.tokens[:5], (5,)), 8)
        stepped = model.model.step(target.tokens[None, :3], cache)[0]
    torch.testing.assert_close(stepped, expected[:3], rtol=1e-4, atol=1e-5)
    adapters.merge()


def test_the_whole_loss_reaches_adapters_and_new_parameters_alone(checkpoints: Checkpoints) -> None:
    model = composed(checkpoints, "all")
    new = new_parameters(model.model, model.provenance)
    adapted(model)
    stir(model.model)
    source, target = batch()
    model.model(source, target, target.tokens).backward()
    for name, parameter in model.model.named_parameters():
        trained = ".lora_" in name or id(parameter) in new
        assert (parameter.grad is not None and bool(parameter.grad.any())) == trained, name


def settings(folder: Path) -> TrainConfig:
    return replace(
        quick(folder),
        max_steps=6,
        evaluate_every=3,
        dropout=0.1,
        lora=Lora(rank=RANK, alpha=8.0, dropout=0.2),
        save_total_limit=5,
    )


@pytest.mark.parametrize("share", ["none", "all"])
def test_a_run_writes_an_adapter_and_a_whole_model(
    share: Share, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = composed(checkpoints, share)
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    names = {name for name, _ in model.model.named_parameters()}
    run = tmp_path / "run"
    result = train(model, copy_task(24, 4), settings(run))
    assert sorted(path.name for path in run.iterdir() if path.is_dir()) == [
        "adapter",
        "base",
        "checkpoint-3",
        "checkpoint-6",
        "final",
    ]
    base = Seq2Seq.from_pretrained(run / "base", device="cpu")
    assert all(torch.equal(base.model.state_dict()[n], before[n]) for n in before)
    final = Seq2Seq.from_pretrained(result.folder, device="cpu")
    assert {name for name, _ in model.model.named_parameters()} == names
    assert torch.equal(logits(final), logits(model))
    assert final.composition.share == share
    shutil.copytree(run, tmp_path / "moved")
    loaded, adapters = load_adapters(tmp_path / "moved" / "adapter")
    adapters.merge()
    torch.testing.assert_close(logits(loaded), logits(final), rtol=1e-4, atol=1e-5)
    assert loaded.generation == final.generation
    config = json.loads((run / "adapter" / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", RANK, 8.0)
    assert config["base_model_name_or_path"] == "../base"
    # Training scores the model that it saves.
    loss = target_loss(final, copy_task(24, 4).split("validation"))
    assert loss == pytest.approx(min(log_of(run, "eval_loss").values()), rel=1e-4)
    checkpoint = load_file(run / "checkpoint-6" / "adapter" / "adapter_model.safetensors")
    whole = load_file(result.folder / "model.safetensors")
    assert sum(t.numel() for t in checkpoint.values()) < sum(t.numel() for t in whole.values()) / 2


@pytest.mark.parametrize("ended_at", [3, 6])
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    ended_at: int, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    whole = composed(checkpoints, "all")
    train(whole, copy_task(22, 4), settings(tmp_path / "whole"))
    broken = tmp_path / "broken"
    for name in ("base", f"checkpoint-{ended_at}"):
        shutil.copytree(tmp_path / "whole" / name, broken / name)
    resumed = Seq2Seq.warm_start(
        encoder=checkpoints("bert"), decoder=checkpoints("bert"), share="all", seed=5
    )
    train(resumed, copy_task(22, 4), settings(broken), resume=True)
    expected = whole.model.state_dict()
    for name, tensor in resumed.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_an_adapter_is_not_a_model(checkpoints: Checkpoints, tmp_path: Path) -> None:
    model = composed(checkpoints, "none")
    adapted(model).save(tmp_path / "adapter", "../base")
    with pytest.raises(CheckpointError, match=r"warmstart export .* --merge -o DIR"):
        Seq2Seq.from_pretrained(tmp_path / "adapter")
    with pytest.raises(CheckpointError):  # its base is not there
        load_adapters(tmp_path / "adapter")
    with pytest.raises(CheckpointError, match=r"is not an adapter: it has no adapter_config.json"):
        load_adapters(checkpoints("bert"))


def test_an_adapter_of_another_model(checkpoints: Checkpoints, tmp_path: Path) -> None:
    adapted(composed(checkpoints, "all")).save(tmp_path / "adapter", "../base")
    composed(checkpoints, "none").save_pretrained(tmp_path / "base")
    adapted(composed(checkpoints, "none"), ["self_attention"]).save(tmp_path / "few", "../base")
    other = adapted(composed(checkpoints, "none"))
    with pytest.raises(CheckpointError, match="does not match its base: "):
        other.read(tmp_path / "few")


def test_without_peft(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match=r"pip install 'warmstart\[lora\]'"):
        train(seq2seq(checkpoints("bert")), copy_task(8), settings(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 0}, "lora.rank is 0; it must be 1 or more"),
        ({"alpha": 0.0}, "lora.alpha is 0.0; it must be above 0"),
        ({"dropout": 1.0}, "lora.dropout is 1.0; it must be at least 0 and below 1"),
        ({"targets": "feed_forward"}, "lora.targets is 'feed_forward'; give a list"),
        ({"targets": []}, r"lora.targets is \[\]; give at least one"),
        ({"targets": ["feedforward"]}, "did you mean 'feed_forward'"),
    ],
)
def test_rejected_values(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Lora(**changes)


def test_a_random_model_has_nothing_to_adapt(checkpoints: Checkpoints, tmp_path: Path) -> None:
    name = f"random:{checkpoints('bert')}"
    model = Seq2Seq.warm_start(encoder=name, decoder=name)
    with pytest.raises(UsageError, match="lora has no layer to adapt"):
        train(model, copy_task(8), settings(tmp_path / "run"))
