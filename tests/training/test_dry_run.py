"""The plan of a dry run against the run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.support.tiny import Checkpoints
from tests.training.runs import copy_task, log_of, quick, seq2seq
from transformers.optimization import Adafactor

from warmstart.composition.blueprint import of_checkpoints
from warmstart.composition.composition_options import CompositionOptions
from warmstart.errors import OutputError, UsageError
from warmstart.seq2seq import Seq2Seq
from warmstart.training.batches import Batch, TokenizedExample, collate
from warmstart.training.dry_run import dry_run
from warmstart.training.memory_estimate import optimizer_values
from warmstart.training.train import train
from warmstart.training.train_config import Lora, Optimizer


@pytest.fixture
def outlined(checkpoints: Checkpoints) -> Seq2Seq:
    """A model without weights."""
    folder = checkpoints("bert")
    blueprint = of_checkpoints(CompositionOptions(folder, folder), headers_only=True)
    return Seq2Seq.from_blueprint(blueprint, weights=False)


def test_it_prints_the_plan_of_the_run(
    outlined: Seq2Seq,
    checkpoints: Checkpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = replace(quick(tmp_path / "run"), evaluate_every=4, save_total_limit=9)
    task = copy_task(24, 4)
    plan = dry_run(outlined, task, config)
    assert not (tmp_path / "run").exists()
    assert all(parameter.is_meta for parameter in outlined.model.parameters())
    seen: list[list[int]] = []

    def collated(examples: Sequence[TokenizedExample]) -> Batch:
        seen.append([len(example.source) for example in examples])
        return collate(examples)

    monkeypatch.setattr("warmstart.training.loop.collate", collated)
    train(seq2seq(checkpoints("bert")), task, config)
    run = tmp_path / "run"
    assert plan.evaluations == tuple(log_of(run, "eval_loss"))
    assert plan.checkpoints == tuple(sorted(int(p.name[11:]) for p in run.glob("checkpoint-*")))
    assert plan.epochs == pytest.approx(log_of(run, "epoch")[6])
    assert plan.steps == max(log_of(run, "loss"))
    assert [text.source_tokens for text in plan.batch] == seen[0]
    size = sum(path.stat().st_size for path in (run / "checkpoint-6").glob("*.safetensors"))
    size += (run / "checkpoint-6" / "optimizer.pt").stat().st_size
    assert plan.checkpoint_bytes == pytest.approx(size, rel=0.2)
    targets = [example.target for example in task.split("train").examples]
    rows = outlined.tokenizers.encode_targets(targets, None).rows
    same = sum(map(str.__eq__, targets, outlined.tokenizers.decode(rows)))
    assert (plan.round_trip.targets, plan.round_trip.survived) == (24, same)


def test_parameters_are_counted_once(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=folder, decoder=folder, share="embeddings")
    config = replace(quick(tmp_path / "run"), freeze=("encoder",))
    parts = dry_run(model, copy_task(8, 2), config).parts
    everything = sum(parameter.numel() for parameter in model.model.parameters())
    embedding = sum(p.numel() for p in model.model.encoder.embedding.parameters())
    frozen = sum(parameter.numel() for parameter in model.model.encoder.parameters())
    assert parts["total"].total == everything
    assert parts["total"].trained == everything - frozen
    assert parts["total"].shared == embedding == parts["encoder embedding"].shared
    assert parts["encoder layers"].trained == parts["encoder layers"].shared == 0
    rows = [part for name, part in parts.items() if name != "total"]
    assert sum(part.total for part in rows) == everything


def test_what_a_pass_holds_is_what_autograd_keeps(outlined: Seq2Seq, tmp_path: Path) -> None:
    """Weights, gradients and state are arithmetic; activations grow with the tokens."""
    task = copy_task(24, longest=6)
    config = replace(quick(tmp_path / "run"), batch_size=4)
    memory = dry_run(outlined, task, config).memory
    count = sum(parameter.numel() for parameter in outlined.model.parameters())
    assert memory.weights == memory.gradients == 4 * count
    assert memory.optimizer == 8 * count
    twice = dry_run(outlined, task, replace(config, batch_size=24)).memory
    assert twice.activations > 3 * memory.activations
    half = dry_run(outlined, task, replace(config, batch_size=24, precision="bfloat16")).memory
    assert half.activations < twice.activations
    less = dry_run(outlined, task, replace(config, batch_size=24, activation_checkpointing=True))
    assert less.memory.activations < twice.activations / 2
    frozen = dry_run(outlined, task, replace(config, freeze=("encoder",))).memory
    assert frozen.activations < memory.activations
    assert frozen.gradients < memory.gradients


def test_adapters_and_a_teacher_are_counted(
    outlined: Seq2Seq, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    config = quick(tmp_path / "run")
    before = {name: p.requires_grad for name, p in outlined.model.named_parameters()}
    lora = dry_run(outlined, copy_task(8), replace(config, lora=Lora(rank=2)))
    assert {name: p.requires_grad for name, p in outlined.model.named_parameters()} == before
    plain = dry_run(outlined, copy_task(8), config)
    assert lora.parts["total"].total > plain.parts["total"].total
    assert 0 < lora.parts["encoder layers"].trained < plain.parts["encoder layers"].trained / 2
    assert lora.memory.optimizer == 8 * lora.parts["total"].trained
    seq2seq(checkpoints("bert")).save_pretrained(tmp_path / "teacher")
    taught = dry_run(outlined, copy_task(8), replace(config, teacher=str(tmp_path / "teacher")))
    assert taught.memory.teacher == plain.memory.weights


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_size_of_an_optimizers_state(name: Optimizer) -> None:
    parameters = [torch.nn.Parameter(torch.ones(*shape)) for shape in [(6, 4), (5,), (2, 3)]]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer: torch.optim.Optimizer = (
        torch.optim.AdamW(parameters)
        if name == "adamw"
        else Adafactor(parameters, lr=1e-3, scale_parameter=False, relative_step=False)
    )
    optimizer.step()
    held = [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor) and value.dim()
    ]
    assert optimizer_values(parameters, name) == sum(value.numel() for value in held)


def test_the_first_batch_shows_special_tokens_and_truncation(
    outlined: Seq2Seq, tmp_path: Path
) -> None:
    task = copy_task(24, longest=6)
    definition = replace(task.definition, max_source_length=5, max_target_length=20)
    split = replace(task.split("train"), definition=definition)
    config = replace(quick(tmp_path / "run"), batch_size=24)
    plan = dry_run(outlined, replace(task, splits={"train": split}), config)
    assert plan.evaluations == ()
    assert len(plan.batch) == 24
    tokenizer = outlined.tokenizers.source
    for text in plan.batch:
        source = split.examples[text.example].source
        whole = len(tokenizer(source)["input_ids"])
        assert text.source_tokens == min(whole, 5)
        assert text.source_cut == whole - text.source_tokens
        assert text.source.startswith("[CLS] ")
        assert text.source.endswith(" [SEP]")
        assert text.target == f"[CLS] {source} [SEP]"
        assert text.target_cut == 0
    assert any(text.source_cut for text in plan.batch)


def test_a_dry_run_rejects_what_a_run_rejects(outlined: Seq2Seq, tmp_path: Path) -> None:
    task = copy_task(8, 2)
    config = quick(tmp_path / "run")
    with pytest.raises(UsageError, match="best_metric"):
        dry_run(outlined, task, replace(config, best_metric="sari"))
    with pytest.raises(UsageError, match="no training data"):
        dry_run(outlined, replace(task, splits={}), config)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").touch()
    with pytest.raises(OutputError, match="other files"):
        dry_run(outlined, task, config)
