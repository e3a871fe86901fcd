"""Distillation: a student approaches its teacher, and rejects one with other tokens."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.tiny import Checkpoints
from tests.training.runs import copy_task, log_of, quick, seq2seq

from warmstart.errors import CheckpointError, UsageError
from warmstart.seq2seq import Seq2Seq
from warmstart.training.batches import TokenizedExamples, collate, sequences
from warmstart.training.train import train


@pytest.fixture
def student(checkpoints: Checkpoints) -> Seq2Seq:
    return seq2seq(checkpoints("bert"))


@pytest.fixture
def teacher(checkpoints: Checkpoints, tmp_path: Path) -> Seq2Seq:
    """A saved model of another size, with the same tokenizer."""
    wide = checkpoints("bert", hidden_size=48, layers=1)
    model = Seq2Seq.warm_start(encoder=wide, decoder=wide, seed=3)
    model.save_pretrained(tmp_path / "teacher")
    return model


@torch.no_grad()
def divergence(teacher: Seq2Seq, student: Seq2Seq) -> float:
    """Mean of KL(teacher || student) over the target tokens, in nats."""
    rows = TokenizedExamples(student, copy_task(40).split("train").examples, None, None)
    batch = sequences(collate(list(rows)))
    theirs, ours = (each.model.eval()(*batch).log_softmax(-1) for each in (teacher, student))
    return float((theirs.exp() * (theirs - ours)).sum(-1).mean())


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_student_approaches_its_teacher(
    temperature: float, student: Seq2Seq, teacher: Seq2Seq, tmp_path: Path
) -> None:
    before = divergence(teacher, student)
    settings = replace(
        quick(tmp_path / "run"),
        max_steps=60,
        batch_size=8,
        learning_rate=3e-3,
        teacher=str(tmp_path / "teacher"),
        distillation_weight=1.0,
        distillation_temperature=temperature,
    )
    train(student, copy_task(40), settings)
    assert divergence(teacher, student) < before / 3
    teachers = Seq2Seq.from_pretrained(tmp_path / "teacher", device="cpu").model.state_dict()
    for name, tensor in teacher.model.state_dict().items():
        assert torch.equal(teachers[name], tensor)


def test_a_model_is_a_teacher_without_dropout(
    student: Seq2Seq, teacher: Seq2Seq, tmp_path: Path
) -> None:
    """As its own teacher, without dropout, it has nothing to learn at step one."""
    student.save_pretrained(tmp_path / "same")
    settings = replace(
        quick(tmp_path / "run"),
        max_steps=1,
        teacher=str(tmp_path / "same"),
        distillation_weight=1.0,
    )
    train(student, copy_task(8), settings)
    assert abs(log_of(tmp_path / "run", "loss")[1]) < 1e-5


def test_r_drop_makes_two_passes_agree(student: Seq2Seq, tmp_path: Path) -> None:
    """More than in the same steps without the divergence in the loss."""
    plain = student
    other = Seq2Seq.from_pretrained(_saved(student, tmp_path / "start"), device="cpu")
    settings = replace(
        quick(tmp_path / "plain"), max_steps=40, batch_size=8, learning_rate=3e-3, dropout=0.2
    )
    train(plain, copy_task(40), settings)
    train(other, copy_task(40), replace(settings, output_dir=tmp_path / "r-drop", r_drop=5.0))
    assert _disagreement(other) < 0.7 * _disagreement(plain)


def _saved(model: Seq2Seq, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


@torch.no_grad()
def _disagreement(model: Seq2Seq) -> float:
    """Between two passes with dropout, in nats per target token."""
    rows = TokenizedExamples(model, copy_task(40).split("train").examples, None, None)
    batch = sequences(collate(list(rows)))
    torch.manual_seed(0)
    for module in model.model.train().modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.2
    first, second = (model.model(*batch).log_softmax(-1) for _ in range(2))
    return float((first.exp() * (first - second)).sum(-1).mean())


# Rejected before anything is written.


def test_passes_without_dropout_cannot_differ(student: Seq2Seq, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="every dropout is 0, so they would be the same"):
        train(student, copy_task(8), replace(quick(tmp_path / "run"), r_drop=1.0))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("made_of", "message"),
    [
        (
            {"decoder": "gpt2"},
            r"target vocabulary of the teacher .* differs from the model's \(300 and \d+ tokens",
        ),
        ({"encoder": "roberta"}, "source vocabulary of the teacher .* differs from the model's"),
    ],
)
def test_a_teacher_with_other_tokens(
    made_of: dict[str, Any],
    message: str,
    student: Seq2Seq,
    checkpoints: Checkpoints,
    tmp_path: Path,
) -> None:
    families = {"encoder": "bert", "decoder": "bert", **made_of}
    folders = {half: checkpoints(family) for half, family in families.items()}
    Seq2Seq.warm_start(**folders).save_pretrained(tmp_path / "other")
    settings = replace(quick(tmp_path / "run"), teacher=str(tmp_path / "other"))
    with pytest.raises(UsageError, match=message):
        train(student, copy_task(8), settings)
    assert not (tmp_path / "run").exists()


def test_a_missing_teacher(student: Seq2Seq, tmp_path: Path) -> None:
    settings = replace(quick(tmp_path / "run"), teacher=str(tmp_path / "nobody"))
    with pytest.raises(CheckpointError):
        train(student, copy_task(8), settings)
    assert not (tmp_path / "run").exists()
