"""The parameters that are trained, when, and at which rate."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.tiny import Checkpoints
from tests.training.runs import copy_task, log_of, quick, seq2seq
from torch import Tensor

from warmstart.composition.provenance import Entry, Provenance
from warmstart.errors import UsageError
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq
from warmstart.training.parameters import (
    TrainedParameters,
    new_parameters,
    parameter_groups,
    peak_rate,
)
from warmstart.training.train import train
from warmstart.training.train_config import Part, TrainConfig

CONFIG = TrainConfig(output_dir=Path("out"), learning_rate=1.0, weight_decay=0.1)


def treatment(model: Seq2Seq, config: TrainConfig) -> dict[str, tuple[float, float]]:
    """Rate and weight decay of each parameter, by its first name; each is in one group."""
    new = new_parameters(model.model, model.provenance)
    groups = parameter_groups(model.model, config, new)
    parameters = [p for group in groups for p in group.parameters]
    trained = [p for p in model.model.parameters() if p.requires_grad]
    assert len(parameters) == len({id(p) for p in parameters}) == len(trained)
    named = dict(model.model.named_parameters())
    for group in groups:
        assert [named[name] for name in group.names] == list(group.parameters)
    return {name: (g.learning_rate, g.weight_decay) for g in groups for name in g.names}


def weights(model: Seq2Seq) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.model.named_parameters()}


def moved(model: Seq2Seq, before: dict[str, Tensor]) -> set[str]:
    return {name for name, p in weights(model).items() if not torch.equal(p, before[name])}


# Groups.


def test_rates_fall_with_the_layers_above(checkpoints: Checkpoints) -> None:
    model = seq2seq(checkpoints("bert", layers=3))
    rates = treatment(model, replace(CONFIG, layer_decay=0.5, new_learning_rate=7.0))
    for name, (rate, _) in rates.items():
        half, *rest = name.split(".")
        if "cross_attention" in name:
            expected = 7.0  # new: neither the full rate nor any decay
        elif half == "head":
            expected = 1.0
        elif rest[0] == "blocks":
            expected = {"2": 1.0, "1": 0.5, "0": 0.25}[rest[1]]
        else:
            assert rest[0] == "embedding"
            expected = 0.125
        assert rate == expected, name


def test_biases_norms_and_gates_do_not_decay(checkpoints: Checkpoints) -> None:
    model = Seq2Seq.warm_start(
        encoder=checkpoints("mpnet"), decoder=checkpoints("gpt2"), cross_attention="gated"
    )
    seen: set[str] = set()
    for name, (_, decay) in treatment(model, CONFIG).items():
        spared = name.endswith((".bias", ".gate")) or "norm" in name or "relative_bias" in name
        assert decay == (0.0 if spared else 0.1), name
        seen |= {part for part in ("gate", "norm", "relative_bias") if part in name}
    assert seen == {"gate", "norm", "relative_bias"}


def test_a_shared_parameter_has_the_encoders_depth(checkpoints: Checkpoints) -> None:
    bert = checkpoints("bert", layers=3)
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert, decoder_layers=1, share="embeddings")
    rates = treatment(model, replace(CONFIG, layer_decay=0.5))
    assert rates["encoder.embedding.word.weight"][0] == 0.125  # a decoder of one layer: 0.5
    assert rates["decoder.blocks.0.feed_forward.up.weight"][0] == 1.0
    assert not [name for name in rates if name.startswith("decoder.embedding")]
    whole = Seq2Seq.warm_start(encoder=bert, decoder=bert, share="all")
    assert not [
        name
        for name in treatment(whole, CONFIG)
        if name.startswith("decoder.") and "cross_attention" not in name
    ]


def test_a_copied_tensor_and_one_with_kept_rows_are_not_new(checkpoints: Checkpoints) -> None:
    bert = checkpoints("bert")
    copied = Seq2Seq.warm_start(encoder=bert, decoder=bert, cross_attention="copy")
    assert not new_parameters(copied.model, copied.provenance)
    model = seq2seq(bert)
    assert not new_parameters(model.model, None)
    word = Entry(name="decoder.embedding.word.weight", part="decoder", origin="random", shape=(3,))
    entries = (word, replace(word, origin="leveraged"))
    assert not new_parameters(model.model, Provenance(entries))
    (one,) = new_parameters(model.model, Provenance((word,)))
    assert one == id(model.model.decoder.embedding.word.weight)


def test_the_first_group_has_the_full_rate(checkpoints: Checkpoints) -> None:
    """Its rate is the one that is logged."""
    model = seq2seq(checkpoints("bert"))
    config = replace(CONFIG, layer_decay=0.9, new_learning_rate=5.0)
    groups = parameter_groups(model.model, config, new_parameters(model.model, model.provenance))
    assert groups[0].learning_rate == 1.0
    assert len({(group.learning_rate, group.weight_decay) for group in groups}) == len(groups)


# Schedules and optimizers.


@pytest.mark.parametrize(
    ("schedule", "factor"),
    [
        ("linear", lambda step: (6 - step) / 4),
        ("cosine", lambda step: (1 + math.cos(math.pi * (step - 2) / 4)) / 2),
        ("inverse_sqrt", lambda step: math.sqrt(2 / step)),
        ("constant", lambda step: 1.0),
    ],
)
def test_rates_of_a_schedule(
    schedule: Any, factor: Any, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    config = replace(quick(tmp_path / "run"), schedule=schedule)
    train(seq2seq(checkpoints("bert")), copy_task(8), config)
    expected = [0.0, 5e-4, *(1e-3 * factor(step) for step in range(2, 6))]
    assert list(log_of(tmp_path / "run", "learning_rate").values()) == pytest.approx(expected)


def test_the_schedule_of_the_paper(checkpoints: Checkpoints, tmp_path: Path) -> None:
    model = seq2seq(checkpoints("bert"))
    config = TrainConfig(output_dir=tmp_path / "run", schedule="paper", max_steps=3, log_every=1)
    train(model, copy_task(64), replace(config, precision="float32"))
    hidden = model.model.config.decoder.hidden_size
    expected = [
        0.05 * hidden**-0.5 * min(1, step / 40_000) * max(step, 40_000) ** -0.5 for step in range(3)
    ]
    assert list(log_of(tmp_path / "run", "learning_rate").values()) == pytest.approx(expected)
    assert peak_rate(model.model, config) * math.sqrt(hidden / 768) == pytest.approx(
        9.02e-6, rel=1e-3
    )


def test_adafactor_trains_with_less_memory(checkpoints: Checkpoints, tmp_path: Path) -> None:
    model = seq2seq(checkpoints("bert"))
    config = replace(quick(tmp_path / "run"), optimizer="adafactor", max_steps=20)
    train(model, copy_task(24), config)
    losses = list(log_of(tmp_path / "run", "loss").values())
    assert losses[-1] < losses[0] - 0.3
    state = torch.load(tmp_path / "run" / "checkpoint-20" / "optimizer.pt", weights_only=True)
    held = sum(
        value.numel()
        for each in state["state"].values()
        for value in each.values()
        if isinstance(value, Tensor)
    )
    assert held < 0.2 * sum(p.numel() for p in model.model.parameters())


def test_a_smoothed_loss_is_trained_on(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """The first step's loss, against torch's."""
    model = seq2seq(checkpoints("bert"))
    task = copy_task(4)
    source, target = model.tokenizers, task.split("train").examples
    rows = [source.source(example.source)["input_ids"] for example in target]
    special = source.special
    words = [
        source.target(example.target, add_special_tokens=False)["input_ids"] for example in target
    ]
    logits = model.model.eval()(
        Sequences.of(rows, "cpu"), Sequences.of([[special.start, *row] for row in words], "cpu")
    )
    labels = Sequences.of([[*row, special.end] for row in words], "cpu").tokens
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.2)
    config = replace(quick(tmp_path / "run"), max_steps=1, label_smoothing=0.2)
    train(model, task, config)
    assert log_of(tmp_path / "run", "loss")[1] == pytest.approx(expected.item(), rel=1e-4)


# Freezing.

PARTS: list[tuple[tuple[Part, ...], Any]] = [
    (("encoder",), lambda name: name.startswith("encoder.")),
    (
        ("decoder",),
        lambda name: name.startswith(("decoder.", "head.")) and "cross_attention" not in name,
    ),
    (("embeddings",), lambda name: ".embedding." in name),
    (("all but cross-attention",), lambda name: "cross_attention" not in name),
    (("encoder", "embeddings"), lambda name: "encoder." in name or ".embedding." in name),
]


@pytest.mark.parametrize(("parts", "frozen"), PARTS, ids=["+".join(parts) for parts, _ in PARTS])
def test_a_frozen_part_gets_no_gradients(
    parts: tuple[Part, ...], frozen: Any, checkpoints: Checkpoints
) -> None:
    model = seq2seq(checkpoints("bert"))
    trained = TrainedParameters(model.model, replace(CONFIG, freeze=parts), frozenset())
    trained.prepare()
    source = Sequences(torch.tensor([5, 6, 7]), (3,))
    states = model.model.encode(source)
    assert states.requires_grad == ("encoder" not in parts and "all but" not in parts[0])
    model.model(source, source, torch.tensor([6, 7, 8])).backward()
    for name, parameter in model.model.named_parameters():
        expected = not frozen(name) and "pooler" not in name
        assert (parameter.grad is not None) == expected, name
    trained.release()
    for name, parameter in model.model.named_parameters():
        assert parameter.requires_grad == ("pooler" not in name)


def test_a_run_leaves_frozen_parts_as_they_were(checkpoints: Checkpoints, tmp_path: Path) -> None:
    model = seq2seq(checkpoints("bert"))
    before = weights(model)
    config = replace(quick(tmp_path / "run"), freeze=("all but cross-attention",), max_steps=3)
    train(model, copy_task(8), config)
    changed = moved(model, before)
    assert changed
    assert all("cross_attention" in name for name in changed)
    groups = torch.load(tmp_path / "run" / "checkpoint-3" / "optimizer.pt", weights_only=True)[
        "param_groups"
    ]
    assert sum(len(group["params"]) for group in groups) == sum(
        "cross_attention" in name for name in before
    ), "the optimizer has no state for frozen parameters"


def test_a_shared_parameter_is_frozen_with_either_half(checkpoints: Checkpoints) -> None:
    bert = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert, share="all").model
    trained = TrainedParameters(model, replace(CONFIG, freeze=("encoder",)), frozenset())
    ever = {id(parameter) for parameter in trained.trainable}
    for name, parameter in model.named_parameters():
        assert (id(parameter) in ever) == ("cross_attention" in name or name.startswith("head."))


def test_stages_follow_each_other_and_survive_resuming(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """Two steps for cross-attention, two more without the encoder, two with all."""
    model = seq2seq(checkpoints("bert"))
    before = weights(model)
    config = replace(
        quick(tmp_path / "run"),
        warmup_steps=0,
        evaluate_every=1,
        save_total_limit=9,
        cross_attention_steps=2,
        encoder_frozen_steps=4,
    )
    task = copy_task(24)
    train(model, task, config)
    assert all(p.requires_grad for n, p in model.model.named_parameters() if "pooler" not in n)

    def at(step: int) -> set[str]:
        folder = tmp_path / "run" / f"checkpoint-{step}"
        return moved(Seq2Seq.from_pretrained(folder, device="cpu"), before)

    assert all("cross_attention" in name for name in at(2))
    assert at(2)
    assert all(not name.startswith("encoder.") for name in at(4))
    assert "decoder.embedding.word.weight" in at(3)
    assert "encoder.embedding.word.weight" in at(5)
    for step in (1, 3):
        run = tmp_path / f"from-{step}"
        run.mkdir()
        (run / f"checkpoint-{step}").symlink_to(tmp_path / "run" / f"checkpoint-{step}")
        again = seq2seq(checkpoints("bert"))
        train(again, task, replace(config, output_dir=run), resume=True)
        assert not moved(again, weights(model))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"freeze": ("encoder", "decoder")}, "freeze leaves nothing to train"),
        ({"cross_attention_steps": 5}, "cross_attention_steps is 5, but this model has nothing"),
        (
            {"freeze": ("decoder",), "encoder_frozen_steps": 5},
            "encoder_frozen_steps is 5, but this model has nothing",
        ),
    ],
)
def test_nothing_to_train(
    change: Any, reason: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    bert = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=bert, cross_attention="merged")
    with pytest.raises(UsageError, match=reason):
        train(model, copy_task(8), replace(quick(tmp_path / "run"), **change))
    assert not (tmp_path / "run").exists()
