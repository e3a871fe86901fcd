"""The setting `detokenize`: resolved, saved, and the same wherever outputs are written."""

import json
import logging
from pathlib import Path

import pytest
import transformers
from tests.text.test_round_trip import uncased

from warmstart.errors import UsageError
from warmstart.evaluation.evaluate import decode_split, describe_texts, evaluate
from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.load import load_task
from warmstart.tasks.task import Split
from warmstart.text.detokenize import detokenize

TEXTS = ["The Cat won't sit, 🙂 C++.", "A ten-year-old Dog"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of an uncased checkpoint."""
    bert = tmp_path_factory.mktemp("uncased")
    tokenizer = uncased()
    tokenizer.save_pretrained(bert)
    transformers.set_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=1.0,
        pad_token_id=0,
    )
    transformers.BertForMaskedLM(config).save_pretrained(bert)
    made = tmp_path_factory.mktemp("model") / "model"
    Seq2Seq.warm_start(encoder=bert, decoder=bert).save_pretrained(made)
    return made


@pytest.fixture
def model(folder: Path) -> Seq2Seq:
    return Seq2Seq.from_pretrained(folder, device="cpu")


@pytest.fixture
def split(tmp_path: Path) -> Split:
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"source": t, "target": t}) + "\n" for t in TEXTS))
    return load_task("pairs", {"test": file}).split("test")


def test_outputs_of_all_ways_are_the_same(model: Seq2Seq, split: Split) -> None:
    tokens = [list(of[0].tokens) for of in model.generate_detailed(TEXTS, max_length=20)]
    plain = model.tokenizers.decode(tokens)
    expected = [
        detokenize(model.tokenizers, text, [row])[0]
        for text, row in zip(TEXTS, tokens, strict=True)
    ]
    assert expected != plain  # else nothing is tested
    assert model.generate(TEXTS, max_length=20) == expected
    assert model.generate(TEXTS, max_length=20, detokenize="none") == plain
    assert decode_split(model, split, {"max_length": 20})[0] == expected
    assert decode_split(model, split, {"max_length": 20, "detokenize": "none"})[0] == plain
    for text, written in zip(TEXTS, plain, strict=True):
        assert "".join(model.stream(text, max_length=20)) == written


def test_it_is_saved_and_off_in_folders_that_do_not_say(model: Seq2Seq, tmp_path: Path) -> None:
    assert model.generation.detokenize == "auto"
    model.save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / "generation_config.json"
    saved = json.loads(file.read_text())
    assert saved.pop("detokenize") == "auto"
    file.write_text(json.dumps(saved))
    older = Seq2Seq.from_pretrained(tmp_path / "model", device="cpu")
    assert older.generation.detokenize is None
    raw = model.generate(TEXTS, detokenize="none")
    assert older.generate(TEXTS) == raw
    assert older.generate(TEXTS, detokenize="auto") == model.generate(TEXTS) != raw


def test_a_regex_is_matched_as_it_stands(model: Seq2Seq) -> None:
    assert model.generate(["The Cat"], regex="the cat") == ["the cat"]
    assert model.generate(["The Cat"], choices=["tHe cAt"]) == ["tHe cAt"]


def test_an_evaluation_says_what_it_compares(
    model: Seq2Seq, split: Split, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="warmstart")
    settings = {"metrics": ["exact_match"], "max_length": 8}
    evaluate(model, split, **settings)
    assert not caplog.records
    assert "detokenized" in str(describe_texts(model, split, {}, "as_given"))
    evaluate(model, split, reference_text="round_trip", **settings)
    assert not caplog.records
    evaluate(model, split, detokenize="none", **settings)
    assert "Only 0 of 2 sampled references survive" in caplog.text
    assert "--reference-text round-trip" in caplog.text
    with pytest.raises(UsageError, match="leave one of the two out"):
        evaluate(model, split, reference_text="round_trip", detokenize="auto", **settings)
