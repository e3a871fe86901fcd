"""What users get wrong: one clear sentence, exit code 1 or 2, and nothing half-written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from tests.support.command_line import Finished

if TYPE_CHECKING:
    from tests.support.tiny import Checkpoints

Run = Callable[..., Finished]


@pytest.fixture
def broken(checkpoints: "Checkpoints", tmp_path: Path) -> Path:
    """A copy of a checkpoint, to be broken."""
    return shutil.copytree(checkpoints("bert"), tmp_path / "broken")


def compose_fails(warmstart: Run, tmp_path: Path, name: object, *words: str) -> None:
    """Composing it fails, and so does looking at it, and no folder is left."""
    before = sorted(tmp_path.iterdir())
    warmstart("compose", name, name, "-o", tmp_path / "out").assert_failed(1, *words)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "nobody/nothing", "nothing"])
def test_a_checkpoint_that_is_not_there(warmstart: Run, tmp_path: Path, name: str) -> None:
    compose_fails(warmstart, tmp_path, name, name)
    warmstart("inspect", name).assert_failed(1, name)
    warmstart("generate", name).assert_failed(1, name)


def test_truncated_weights(warmstart: Run, tmp_path: Path, broken: Path) -> None:
    whole = (broken / "model.safetensors").read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        (broken / "model.safetensors").write_bytes(whole[:length])
        compose_fails(warmstart, tmp_path, broken, "model.safetensors", "truncated")


def test_a_pickle(warmstart: Run, tmp_path: Path, broken: Path) -> None:
    (broken / "model.safetensors").unlink()
    torch.save({"a": torch.zeros(1)}, broken / "pytorch_model.bin")
    compose_fails(warmstart, tmp_path, broken, "pickle", "Convert it once: python -c ")


def test_an_unknown_family(warmstart: Run, tmp_path: Path, broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "model_type": "robreta"}))
    compose_fails(warmstart, tmp_path, broken, "did you mean 'roberta'", "bert-generation", "gpt2")


def test_shapes_that_do_not_fit_the_config(warmstart: Run, tmp_path: Path, broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    compose_fails(warmstart, tmp_path, broken, "intermediate.dense.weight is [64, 32]", "[48, 32]")


def test_a_config_that_is_no_json(warmstart: Run, tmp_path: Path, broken: Path) -> None:
    (broken / "config.json").write_text("{")
    compose_fails(warmstart, tmp_path, broken, "config.json is not valid JSON")


def test_halves_that_cannot_share(
    warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path
) -> None:
    bert, gpt2 = checkpoints("bert"), checkpoints("gpt2")
    for share in ("all", "layers", "embeddings"):
        finished = warmstart("compose", bert, gpt2, "-o", tmp_path / "out", "--share", share)
        finished.assert_failed(1, f"share='{share}'")
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_holds_something_else(
    warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path
) -> None:
    bert = checkpoints("bert")
    (tmp_path / "thesis.txt").write_text("mine")
    for overwrite in ([], ["--overwrite"]):
        finished = warmstart("compose", bert, bert, "-o", tmp_path, *overwrite)
        finished.assert_failed(1, "something that is not a model")
    finished = warmstart("compose", bert, bert, "-o", tmp_path / "thesis.txt")
    finished.assert_failed(1, "is a file")
    warmstart("quickstart", "-o", tmp_path).assert_failed(1, "something that is not a model")
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "columns", "words"),
    [
        (b"complex\tsimple\na b\tc\n", "source=complx,target=simple", ["'complx'", "'complex'"]),
        (b"one\ttwo\tthree\na\tb\tc\n", None, ["3 columns"]),
        (b"source\ttarget\na\tb\nc\n", None, ["line 3", "1 fields"]),
        (b"source\ttarget\na\tb\n\xffc\td\n", None, ["line 3 is not UTF-8", "0xff"]),
        (b"", None, ["empty"]),
    ],
)
def test_data_that_is_not_as_it_should_be(
    warmstart: Run,
    composed: Path,
    recipe: Path,
    tmp_path: Path,
    content: bytes,
    columns: str | None,
    words: list[str],
) -> None:
    data = tmp_path / "data.tsv"
    data.write_bytes(content)
    chosen = [] if columns is None else ["--columns", columns]
    changes = ["--set", f"task.data='{data}'"]
    if columns is not None:
        changes += ["--set", f"task.columns={{{columns.replace('=', ': ')}}}"]
    for command in (
        ["evaluate", composed, "--data", data, *chosen, "--outputs", tmp_path / "outputs.jsonl"],
        ["train", recipe, *changes],
    ):
        warmstart(*command).assert_failed(1, f"error: {data}", *words)
    assert not (tmp_path / "outputs.jsonl").exists()
    assert not (tmp_path / "run").exists()


def test_an_empty_text_in_what_is_to_be_scored(
    warmstart: Run, composed: Path, recipe: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data.tsv"
    data.write_text("source\ttarget\na\tb\nc\t\n")
    words = (f"error: {data}", "line 3", "'target' is empty", "skip_empty")
    warmstart("evaluate", composed, "--data", data).assert_failed(1, *words)
    # Training leaves such rows out, unless it is told otherwise.
    changes = [f"task.data='{data}'", "task.skip_empty=false"]
    options = [word for change in changes for word in ("--set", change)]
    warmstart("train", recipe, *options).assert_failed(1, *words)
    assert not (tmp_path / "run").exists()


def test_data_that_is_not_there(warmstart: Run, composed: Path) -> None:
    warmstart("evaluate", composed, "--data", "nowhere.tsv").assert_failed(1, "nowhere.tsv")
    warmstart("evaluate", composed, "--data", "nowhere.doc").assert_failed(1, ".tsv, .csv, .jsonl")


def test_a_checkpoint_where_a_model_is_needed(
    warmstart: Run, checkpoints: "Checkpoints", tmp_path: Path
) -> None:
    bert = checkpoints("bert")
    for command in (["generate", bert], ["export", bert, "-o", tmp_path / "out"]):
        warmstart(*command).assert_failed(1, "Compose it first", "warmstart compose")
