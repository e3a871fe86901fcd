"""Decoding settings: what is allowed, and how they are kept in a folder."""

import json
from pathlib import Path

import pytest
import transformers

from warmstart.errors import UsageError
from warmstart.generation.options import Constraints, GenerationOptions
from warmstart.generation.saved import (
    read_constraints,
    read_generation,
    warn_of_unknown,
    write_generation,
)
from warmstart.text.special_tokens import SpecialTokens

SPECIAL = SpecialTokens(start=5, end=6, pad=0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_beams": 0}, "num_beams is 0; it must be at least 1"),
        ({"max_length": 1}, "max_length is 1; it counts the start token"),
        ({"min_length": -1}, "min_length is -1"),
        ({"max_length": 10, "min_length": 11}, "must lie between 0 and max_length, 10"),
        ({"no_repeat_ngram_size": -2}, "no_repeat_ngram_size is -2"),
        ({"early_stopping": "always"}, "allowed are true, false and 'never'"),
    ],
)
def test_what_is_not_allowed(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        GenerationOptions(**changes)  # type: ignore[arg-type]
    assert reason in str(caught.value)


def test_what_is_written_is_read_back_by_us_and_by_transformers(tmp_path: Path) -> None:
    options = GenerationOptions(
        num_beams=4,
        max_length=64,
        min_length=8,
        length_penalty=0.6,
        early_stopping="never",
        no_repeat_ngram_size=3,
    )
    written = write_generation(options, SPECIAL)
    assert read_generation(written, SpecialTokens(start=1, end=2, pad=3)) == (options, SPECIAL)
    (tmp_path / "generation_config.json").write_text(json.dumps(written))
    theirs = transformers.GenerationConfig.from_pretrained(tmp_path)
    assert theirs.num_beams == 4
    assert theirs.max_length == 64
    assert theirs.min_length == 8
    assert theirs.length_penalty == 0.6
    assert theirs.early_stopping == "never"
    assert theirs.no_repeat_ngram_size == 3
    assert theirs.decoder_start_token_id == 5
    assert theirs.eos_token_id == 6
    assert theirs.pad_token_id == 0
    theirs.validate()


def test_what_a_file_does_not_say_stays() -> None:
    assert read_generation({}, SPECIAL) == (GenerationOptions(), SPECIAL)
    options, special = read_generation(
        {"num_beams": None, "eos_token_id": [7, 8], "temperature": 0.5, "min_length": 500}, SPECIAL
    )
    assert options == GenerationOptions()
    assert special == SpecialTokens(start=5, end=7, pad=0)


def test_what_a_model_asks_of_every_output_is_read_and_written() -> None:
    constraints = Constraints(
        forced_bos_token_id=0, forced_eos_token_id=0, bad_words_ids=((9,), (3, 4))
    )
    written = write_generation(GenerationOptions(), SPECIAL, constraints)
    assert read_constraints(json.loads(json.dumps(written))) == constraints
    assert "renormalize_logits" not in written
    plain = write_generation(GenerationOptions(), SPECIAL)
    assert read_constraints(plain) == read_constraints({}) == Constraints()
    assert not plain.keys() & {"forced_bos_token_id", "forced_eos_token_id", "bad_words_ids"}
    listed = {"forced_eos_token_id": [2, 5], "bad_words_ids": None}
    assert read_constraints(listed) == Constraints(forced_eos_token_id=2)


def test_settings_that_cannot_be_followed_are_told(caplog: pytest.LogCaptureFixture) -> None:
    usual = {"do_sample": False, "repetition_penalty": 1.0, "top_k": 50, "suppress_tokens": None}
    warn_of_unknown({**usual, "num_beams": 4, "sequence_bias": {}}, "it")
    assert not caplog.records
    warn_of_unknown({**usual, "do_sample": True, "repetition_penalty": 1.2}, "it")
    (record,) = caplog.records
    assert "it asks for" in record.getMessage()
    assert "do_sample True, repetition_penalty 1.2" in record.getMessage()
