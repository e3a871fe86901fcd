"""What version 0.1 wrote is still read: folders, runs, adapters, recipes, half-written outputs.

`fixtures/version-0.1` was written by the code of commit 7d617a6: three compositions, a run that was
stopped after step 2 of 4, a LoRA run, and a file of outputs that was interrupted after its first
block. `expected.json` holds what that code wrote next.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.support.tiny import SENTENCES, save_checkpoint
from tests.training.runs import copy_task, log_of, quick, seq2seq

from warmstart import Job, Seq2Seq, generate_files, train
from warmstart.cli.main import run as command

FOLDER = Path(__file__).parent / "fixtures" / "version-0.1"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["bert2gpt2", "bert-share", "bert2llama-gated"])
def test_model_folders(name: str) -> None:
    model = Seq2Seq.from_pretrained(FOLDER / name)
    expected = EXPECTED[name]
    texts = list(SENTENCES)
    assert model.generate(texts, max_length=12, min_length=6) == expected["greedy"]
    beams = model.generate(texts, max_length=12, min_length=6, num_beams=4, length_penalty=0.6)
    assert beams == expected["beams"]
    assert (
        sum(parameter.numel() for parameter in model.model.parameters()) == (expected["parameters"])
    )
    assert model.provenance is not None


@pytest.mark.parametrize("name", ["bert2gpt2", "bert-share", "bert2llama-gated"])
def test_commands_read_model_folders(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["inspect", str(FOLDER / name), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert command(["doctor", str(FOLDER / name)]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err


def test_a_stopped_run_is_resumed(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "run", tmp_path / "run")
    config = replace(
        quick(tmp_path / "run"), max_steps=4, evaluate_every=2, dropout=0.1, save_total_limit=1
    )
    model = seq2seq(_bert(tmp_path), seed=7)
    train(model, copy_task(22, 2), config, resume=True)
    losses = log_of(tmp_path / "run", "loss")
    assert list(losses) == [1, 2, 3, 4]
    # Kernels of another processor may sum in another order.
    torch.testing.assert_close(
        list(losses.values()), EXPECTED["run"], rtol=2e-4, atol=0, check_dtype=False
    )


def _bert(folder: Path) -> Path:
    """A checkpoint of the fixture's shape, with its tokenizer."""
    return save_checkpoint(folder / "bert", "bert", hidden_size=16, layers=1, seed=1)


def test_an_adapter_is_merged(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "lora", tmp_path / "lora")
    adapter, merged = tmp_path / "lora" / "adapter", tmp_path / "merged"
    assert command(["export", str(adapter), "--merge", "-o", str(merged)]) == 0
    made = load_file(merged / "model.safetensors")
    expected = load_file(FOLDER / "lora" / "merged.safetensors")
    assert made.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(made[name], tensor, rtol=1e-5, atol=1e-6)


def test_interrupted_outputs_are_resumed(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    output = tmp_path / "bulk" / "outputs.jsonl"
    began = output.read_bytes()
    job = Job(
        model=str(tmp_path / "bert2gpt2"),
        batch_size=1,
        input_format="jsonl",
        output_format="jsonl",
        max_length=12,
        num_beams=2,
        scores=True,
    )
    generate_files(job, [tmp_path / "sources.jsonl"], output=output, resume=True)
    assert output.read_bytes().startswith(began)
    made, expected = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (output, FOLDER / "bulk-whole.jsonl")
    )
    assert [row["output"] for row in made] == [row["output"] for row in expected]
    assert [row.keys() for row in made] == [row.keys() for row in expected]


def test_a_recipe_with_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = [f"the cat sat on {word}\tthe dog ran" for word in ("mat", "house", "tree", "river")]
    pairs += [f"a {word} bird\ta dog" for word in ("small", "big", "red", "blue", "new")]
    Path("pairs.tsv").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    text = (FOLDER / "recipe.yaml").read_text(encoding="utf-8")
    for name, value in (("BERT", _bert(tmp_path)), ("PAIRS", "pairs.tsv"), ("OUT", "out")):
        text = text.replace(name, str(value))
    Path("recipe.yaml").write_text(text, encoding="utf-8")
    assert command(["train", "recipe.yaml", "--dry-run"]) == 0
    assert command(["train", "recipe.yaml"]) == 0
    assert (tmp_path / "out" / "final" / "model.safetensors").is_file()
