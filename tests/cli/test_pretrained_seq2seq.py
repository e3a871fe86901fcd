"""The commands on an encoder-decoder that was pre-trained whole."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers
from tests.parity.reference import random_pairs
from tests.support.command_line import Finished
from tests.support.tiny_seq2seq import SEQ2SEQ, save_seq2seq


@pytest.mark.filterwarnings("ignore:.*tied weights mapping")
@pytest.mark.parametrize("name", ["bart", "marian", "t5-1.1", "t5gemma"])
def test_inspect_train_evaluate_and_generate(
    name: str, tmp_path: Path, warmstart: Callable[..., Finished]
) -> None:
    folder = save_seq2seq(tmp_path / "model", name)
    told = warmstart("inspect", folder, "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)[0]["kind"] == "sequence-to-sequence model, pre-trained whole"

    pairs = tmp_path / "pairs.tsv"
    lines = ["source\ttarget", *("\t".join(pair) for pair in random_pairs(seed=0, count=16))]
    pairs.write_text("\n".join(lines) + "\n")
    recipe = {
        "model": {"pretrained": str(folder)},
        "task": {
            "name": "pairs",
            "data": {"train": str(pairs), "validation": str(pairs)},
            "max_target_length": 16,
            "metrics": ["exact_match"],
        },
        "training": {
            "output_dir": str(tmp_path / "out"),
            "max_steps": 3,
            "batch_size": 8,
        },
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    trained = warmstart("train", tmp_path / "recipe.yaml", "--json")
    assert trained.code == 0, trained.err
    final = tmp_path / "out" / "final"
    reference = transformers.AutoModelForSeq2SeqLM.from_pretrained(final)
    assert type(reference) is SEQ2SEQ[name].model

    scored = warmstart("evaluate", final, "--data", pairs, "--metric", "bleu", "--json")
    assert scored.code == 0, scored.err
    written = warmstart("generate", final, "--max-length", 8, stdin="the cat sat\n\nshe\n")
    assert (written.code, len(written.out.splitlines())) == (0, 3), written.err


def test_it_cannot_be_composed(tmp_path: Path, warmstart: Callable[..., Finished]) -> None:
    folder = save_seq2seq(tmp_path / "model", "bart")
    finished = warmstart("compose", folder, folder, "-o", tmp_path / "new")
    finished.assert_failed(1, "an encoder-decoder already", "Allowed: bert")
