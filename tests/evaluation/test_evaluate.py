"""A model and examples to scores: decoded, scored and kept as a user would do it by hand."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tests.parity.reference import random_pairs, teach
from tests.support.tiny import Checkpoints

from warmstart.data.example import Example
from warmstart.errors import OutputError, UsageError
from warmstart.evaluation.evaluate import (
    evaluate,
    split_metrics,
    split_outputs,
    target_loss,
    write_outputs,
)
from warmstart.evaluation.score import score
from warmstart.generation.generation_config import GenerationConfig
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.pairs import PAIRS
from warmstart.tasks.task import Split

DEFINITION = replace(
    PAIRS,
    metrics=("exact_match", "rouge1"),
    generation=GenerationConfig(max_length=14),
)


def split_of(pairs: list[tuple[str, str]]) -> Split:
    examples = tuple(Example(source, (target,)) for source, target in pairs)
    return Split(definition=DEFINITION, name="validation", examples=examples)


@pytest.fixture(scope="module")
def model(checkpoints: Checkpoints) -> Seq2Seq:
    """It knows some of the pairs that it was taught. Not to be changed."""
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("bert"))
    teach(model, steps=40)
    return model


@pytest.fixture(scope="module")
def split() -> Split:
    return split_of(random_pairs(seed=0)[:10])


def test_scores_are_those_of_the_models_outputs(model: Seq2Seq, split: Split) -> None:
    outputs = model.generate(split.sources, max_length=14)
    right = sum(
        output == example.target for output, example in zip(outputs, split.examples, strict=True)
    )
    assert right > 0
    scores = evaluate(model, split)
    assert list(scores) == ["exact_match", "rouge1"]
    assert scores["exact_match"].value == pytest.approx(100 * right / len(split))
    assert evaluate(model, split, batch_size=3) == scores
    assert score(split_outputs(split, outputs), split_metrics(split)) == scores


def test_metrics_and_settings_can_be_chosen(model: Seq2Seq, split: Split) -> None:
    scores = evaluate(model, split, metrics=["bleu"], max_length=2)
    assert list(scores) == ["bleu"]
    assert scores["bleu"].value < evaluate(model, split, metrics=["bleu"])["bleu"].value
    with pytest.raises(UsageError, match="did you mean 'rouge1'"):
        evaluate(model, split, metrics=["rouge-1"])
    with pytest.raises(UsageError, match="evaluate has no option 'beams'"):
        evaluate(model, split, beams=2)  # type: ignore[call-arg]


def test_references_can_be_compared_as_the_model_could_write_them(
    model: Seq2Seq, split: Split
) -> None:
    """What the tokenizer cannot write is no fault of the model's."""
    outputs = [example.target for example in split.examples]
    odd = replace(
        split, examples=tuple(replace(e, targets=(f"  {e.target} ",)) for e in split.examples)
    )
    scores = score(split_outputs(odd, outputs, rewriter=model), split_metrics(odd))
    assert scores["exact_match"].value == 100
    assert scores["exact_match"].signature.endswith("|references:round-trip")
    assert (
        "round-trip"
        not in score(split_outputs(odd, outputs), split_metrics(odd))["exact_match"].signature
    )


def test_loss_is_the_mean_over_all_target_tokens(model: Seq2Seq, split: Split) -> None:
    sources = model.encode_sources(split.sources)
    targets = model.encode_targets([example.target for example in split.examples])
    start, total = model.tokenizers.special.start, 0.0
    model.model.eval()
    for source, target in zip(sources, targets, strict=True):
        with torch.no_grad():
            logits = model.model(Sequences.of([source]), Sequences.of([[start, *target[:-1]]]))
        total += F.cross_entropy(logits, torch.tensor(target), reduction="sum").item()
    expected = total / sum(map(len, targets))
    for size in (1, 3, 32):
        assert target_loss(model, split, batch_size=size) == pytest.approx(expected, rel=1e-5)


def test_loss_is_without_dropout_and_puts_the_mode_back(model: Seq2Seq, split: Split) -> None:
    first = target_loss(model, split)
    model.model.train()
    try:
        assert target_loss(model, split) == first
        assert model.model.training
    finally:
        model.model.eval()


def test_loss_cuts_as_training_does(
    model: Seq2Seq, split: Split, caplog: pytest.LogCaptureFixture
) -> None:
    short = replace(split, definition=replace(DEFINITION, max_target_length=3))
    assert target_loss(model, short) != target_loss(model, split)
    assert "targets are longer than 3 tokens and were truncated" in caplog.text


def test_outputs_are_kept_with_what_they_are_for(
    model: Seq2Seq, split: Split, tmp_path: Path
) -> None:
    file = tmp_path / "outputs.jsonl"
    evaluate(model, split, outputs_file=file)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [row["source"] for row in rows] == list(split.sources)
    assert [row["references"] for row in rows] == [list(r) for r in split.references]
    assert [row["output"] for row in rows] == model.generate(split.sources, max_length=14)
    assert not any(row["at_limit"] for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["outputs.jsonl"]


def test_outputs_that_decoding_truncated_are_counted(
    model: Seq2Seq, split: Split, tmp_path: Path
) -> None:
    file = tmp_path / "outputs.jsonl"
    scores = evaluate(model, split, metrics=["length_limit"], outputs_file=file, max_length=5)
    found = list(model.generate_first(split.sources, config=split.generation, max_length=5))
    end = model.tokenizers.special.end
    cut = {index for index, output in found if end not in output.tokens}
    assert cut
    assert {index for index, output in found if output.at_limit} == cut
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert {index for index, row in enumerate(rows) if row["at_limit"]} == cut
    assert scores["length_limit"].value == pytest.approx(100 * len(cut) / len(split))


def test_scores_of_each_example(model: Seq2Seq, split: Split) -> None:
    score = evaluate(model, split, metrics=["exact_match"], per_example=True)["exact_match"]
    assert score.per_example is not None
    assert sum(score.per_example) / len(split) == pytest.approx(score.value)


def test_a_missing_folder_is_an_error_before_decoding(
    model: Seq2Seq, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object, **__: object) -> None:
        pytest.fail("an hour was lost")

    monkeypatch.setattr(Seq2Seq, "generate", decode)
    with pytest.raises(OutputError, match="there is no folder"):
        evaluate(model, split, outputs_file=tmp_path / "none" / "outputs.jsonl")


def test_outputs_that_cannot_be_written(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = ["x"] * len(split)
    with pytest.raises(OutputError, match="cannot be written"):
        write_outputs(tmp_path / "no such folder" / "file.jsonl", split, outputs)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file.jsonl").write_text("of before")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_outputs(tmp_path / "file.jsonl", split, outputs)
    assert (tmp_path / "file.jsonl").read_text() == "of before"
    assert [path.name for path in tmp_path.iterdir()] == ["file.jsonl"]


def test_an_empty_split(model: Seq2Seq) -> None:
    with pytest.raises(UsageError, match="has no examples"):
        target_loss(model, split_of([]))
