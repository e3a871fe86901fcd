"""An example of weight 2 equals two examples, one of weight 0 equals none."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.support.tiny import Checkpoints
from tests.training.runs import copy_task, log_of, quick, seq2seq

from warmstart.data.example import Example
from warmstart.data.stored import keep_examples
from warmstart.errors import UsageError
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.task import Task
from warmstart.training.batches import TokenizedExamples, collate, weight_of
from warmstart.training.train import train

TEXTS = ("the cat sat", "she is big", "two red trees and one blue river", "the dog")


@pytest.fixture
def model(checkpoints: Checkpoints) -> Seq2Seq:
    return seq2seq(checkpoints("bert"))


def examples_of(*weights: float) -> list[Example]:
    return [Example(text, (text,), weight) for text, weight in zip(TEXTS, weights, strict=True)]


def task_of(examples: Sequence[Example]) -> Task:
    task = copy_task(1)
    return replace(task, splits={"train": replace(task.split("train"), examples=examples)})


def norm_and_loss(
    examples: Sequence[Example], checkpoints: Checkpoints, folder: Path
) -> tuple[float, float]:
    """Of one step over all of them."""
    config = replace(quick(folder), max_steps=1, batch_size=len(examples), label_smoothing=0.1)
    train(seq2seq(checkpoints("bert")), task_of(examples), config)
    return log_of(folder, "grad_norm")[1], log_of(folder, "loss")[1]


def test_a_weight_is_a_number_of_copies(checkpoints: Checkpoints, tmp_path: Path) -> None:
    weighted = norm_and_loss(examples_of(2, 1, 0, 3), checkpoints, tmp_path / "weighted")
    first, second, _, last = examples_of(1, 1, 1, 1)
    copies = [first, first, second, last, last, last]
    expected = norm_and_loss(copies, checkpoints, tmp_path / "copies")
    assert weighted == pytest.approx(expected, rel=1e-4)
    plain = norm_and_loss(examples_of(1, 1, 1, 1), checkpoints, tmp_path / "plain")
    assert plain != pytest.approx(expected, rel=1e-2)


def test_a_step_without_any_weight_changes_nothing(model: Seq2Seq, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    examples = [*examples_of(0, 0, 0, 0), Example("the cat", ("the cat",), 1.0)]
    config = replace(quick(tmp_path / "run"), batch_size=1, max_steps=4, weight_decay=0.0)

    class InOrder(torch.utils.data.Sampler[list[int]]):
        taken = (1, 2, 3, 4)

        def __iter__(self) -> Iterator[list[int]]:
            return iter([[0], [1], [2], [3]])

        def __len__(self) -> int:
            return 4

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warmstart.training.trainer.pass_sampler", lambda *_: InOrder())
        train(model, task_of(examples), config)
    after = model.model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert set(log_of(tmp_path / "run", "loss").values()) == {0.0}


def test_weights_of_edits_are_for_tokens_that_the_source_lacks(model: Seq2Seq) -> None:
    examples = [Example("the cat sat", ("the dog sat",)), Example("a", ("a",), 0.5)]
    tokenized = TokenizedExamples(model, examples, None, None, edit_weight=4.0)
    assert [row.weights for row in tokenized] == [[1, 4, 1, 1], [0.5, 0.5]]  # the end last
    batch = collate(list(tokenized))
    assert batch["weights"].tolist() == [0.5, 0.5, 1, 4, 1, 1]  # the shorter first
    assert weight_of(batch) == 8


def test_without_weights_a_batch_has_none(model: Seq2Seq) -> None:
    batch = collate(list(TokenizedExamples(model, examples_of(1, 1, 1, 1), None, None)))
    assert "weights" not in batch
    assert weight_of(batch) == len(batch["labels"])


def test_examples_on_disk_have_their_weights(
    model: Seq2Seq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    examples = examples_of(2, 0.1, 0, 3)
    stored = keep_examples(examples, in_memory=0)
    on_disk = [row.weights for row in TokenizedExamples(model, stored[1:], None, None)]
    assert on_disk == [row.weights for row in TokenizedExamples(model, examples[1:], None, None)]


def test_all_weights_are_zero(model: Seq2Seq, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Every training example has weight 0"):
        train(model, task_of(examples_of(0, 0, 0, 0)), quick(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_edits_between_two_tokenizers(checkpoints: Checkpoints, tmp_path: Path) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("gpt2"))
    with pytest.raises(UsageError, match="copied tokens cannot be identified"):
        train(model, copy_task(4), replace(quick(tmp_path / "run"), edit_weight=2.0))
    assert not (tmp_path / "run").exists()
