"""A model's outputs become training data, and an interrupted run goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny import Checkpoints
from tests.training.runs import copying_examples, seq2seq

from warmstart.bulk import pseudo_labels
from warmstart.bulk.pseudo_labels import write_pseudo_labels
from warmstart.data.example import Example
from warmstart.data.read import read_examples
from warmstart.errors import OutputError, UsageError
from warmstart.seq2seq import Seq2Seq

EXAMPLES = copying_examples(23)


@pytest.fixture(scope="module")
def model(checkpoints: Checkpoints) -> Seq2Seq:
    return seq2seq(checkpoints("bert"))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_targets_are_the_models_outputs(model: Seq2Seq, tmp_path: Path) -> None:
    output = tmp_path / "pseudo.jsonl"
    made = write_pseudo_labels(
        model,
        EXAMPLES,
        output,
        {"batch_size": 4, "num_beams": 3, "max_length": 9, "max_source_length": 5},
    )
    expected = model.generate(
        [example.source for example in EXAMPLES], num_beams=3, max_length=9, max_source_length=5
    )
    rows = lines_of(output)
    assert [row["target"] for row in rows] == [text for text in expected if text.strip()]
    assert (made.examples, made.written, made.resumed) == (23, len(rows), 0)
    assert made.cut == sum(len(example.source.split()) + 2 > 5 for example in EXAMPLES) > 0
    assert [path.name for path in tmp_path.iterdir()] == ["pseudo.jsonl"]
    read = list(read_examples(output))
    assert [(e.source, e.targets) for e in read] == [(r["source"], (r["target"],)) for r in rows]
    assert {r["source"]: r["reference"] for r in rows}.items() <= {
        e.source: e.target for e in EXAMPLES
    }.items()


def test_weights_are_kept(model: Seq2Seq, tmp_path: Path) -> None:
    examples = [Example("the cat", ("the dog",), 0.5), Example("a dog", ("a cat",))]
    write_pseudo_labels(model, examples, tmp_path / "a.jsonl", {"max_length": 9, "min_length": 5})
    assert [row.get("weight", 1) for row in lines_of(tmp_path / "a.jsonl")] == [0.5, 1]


def test_an_interrupted_run_continues(
    model: Seq2Seq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pseudo_labels, "BATCHES_AHEAD", 1)
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    write_pseudo_labels(model, EXAMPLES, whole, {"batch_size": 4, "max_length": 9})

    def interrupt(done: int) -> None:
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pseudo_labels(
            model, EXAMPLES, broken, {"batch_size": 4, "max_length": 9}, on_progress=interrupt
        )
    assert not broken.exists()
    partial = tmp_path / ".broken.jsonl.partial"
    with partial.open("ab") as file:
        file.write(b'{"source": "cut o')  # a block that was being written
    decoded: list[int] = []
    generate = model.generate_each

    def counted(texts: list[str], **settings: Any) -> Any:
        decoded.append(len(texts))
        return generate(texts, **settings)

    monkeypatch.setattr(model, "generate_each", counted)
    made = write_pseudo_labels(model, EXAMPLES, broken, {"batch_size": 4, "max_length": 9})
    assert made.resumed == 12
    assert sum(decoded) == 23 - 12
    assert broken.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.jsonl", "whole.jsonl"]


@pytest.mark.parametrize("changed", ["settings", "data", "model"])
def test_a_run_of_something_else_is_not_gone_on_with(
    changed: str,
    model: Seq2Seq,
    checkpoints: Checkpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pseudo_labels, "BATCHES_AHEAD", 1)

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "a.jsonl"
    with pytest.raises(KeyboardInterrupt):
        write_pseudo_labels(
            model, EXAMPLES, output, {"batch_size": 4, "max_length": 9}, on_progress=interrupt
        )
    other = seq2seq(checkpoints("bert"), seed=4) if changed == "model" else model
    examples = EXAMPLES[1:] if changed == "data" else EXAMPLES
    length = 8 if changed == "settings" else 9
    made = write_pseudo_labels(other, examples, output, {"batch_size": 4, "max_length": length})
    assert made.resumed == 0
    assert made.examples == len(examples)


def test_what_version_0_1_left_is_started_anew(
    model: Seq2Seq, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its rows have a note of another name and form."""
    (tmp_path / ".a.jsonl.partial").write_text('{"source": "the cat"}\n')
    (tmp_path / ".a.jsonl.progress").write_text('{"key": "x", "examples": 1, "bytes": 22}')
    made = write_pseudo_labels(model, EXAMPLES, tmp_path / "a.jsonl", {"max_length": 9})
    assert made.resumed == 0
    assert "starting anew" in caplog.text
    write_pseudo_labels(model, EXAMPLES, tmp_path / "b.jsonl", {"max_length": 9})
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl"]


def test_what_is_refused(model: Seq2Seq, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"give a name that ends in .jsonl"):
        write_pseudo_labels(model, EXAMPLES, tmp_path / "a.tsv")
    with pytest.raises(OutputError, match="cannot be written: No such file or directory"):
        write_pseudo_labels(model, EXAMPLES, tmp_path / "nowhere" / "a.jsonl", {"max_length": 3})
    with pytest.raises(UsageError, match="has no option 'num_beam'; did you mean 'num_beams'"):
        write_pseudo_labels(model, EXAMPLES, tmp_path / "a.jsonl", {"num_beam": 3})
