"""Decoding settings: what is allowed, and how they are kept in a folder."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import transformers

from warmstart.errors import UsageError
from warmstart.generation.generation_config import Constraints, GenerationConfig
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
        ({"num_beams": 0}, "num_beams is 0; it must be 1 or more"),
        ({"max_length": 1}, "max_length is 1; it must be 2 or more. It counts the start token"),
        ({"min_length": -1}, "min_length is -1"),
        ({"max_length": 10, "min_length": 11}, "it must be at most max_length, which is 10"),
        ({"no_repeat_ngram_size": -2}, "no_repeat_ngram_size is -2"),
        ({"early_stopping": "always"}, "give true or false. 'never' is allowed, too"),
        ({"length_penalty": float("nan")}, "length_penalty is nan"),
        ({"encoder_no_repeat_ngram_size": -1}, "encoder_no_repeat_ngram_size is -1"),
        (
            {"length_penalty": -400.0},
            "length_penalty is -400.0; it must be at least -32 and at most 32",
        ),
        (
            {"repetition_penalty": 0.0},
            "is 0.0; it must be at least 1e-06 and at most 1e+06. 1 is off",
        ),
        ({"repetition_penalty": 1e300}, "repetition_penalty is 1e+300; it must be at least"),
        ({"num_return_sequences": 0}, "num_return_sequences is 0"),
        ({"num_return_sequences": 2}, "num_return_sequences is 2, but num_beams is 1"),
        ({"num_beams": 4, "num_return_sequences": 5}, "as many outputs as beams"),
        ({"num_beams": 4, "num_beam_groups": 3}, "num_beam_groups is 3; it must divide num_beams"),
        ({"num_beam_groups": 0}, "num_beam_groups is 0"),
        ({"num_beams": 4, "num_beam_groups": 2}, "groups need a penalty above 0"),
        ({"num_beams": 4, "diversity_penalty": 0.5}, "without groups it must be 0"),
        ({"do_sample": True, "num_beams": 2}, "do_sample is set and num_beams is 2"),
        ({"draft": "target"}, "draft is 'target'; Allowed: none, source, auto"),
        ({"num_beams": 2.5}, "num_beams is 2.5; give a whole number"),
        ({"max_length": "9"}, "max_length is '9'; give a whole number"),
        ({"seed": True, "do_sample": True}, "seed is True; give a whole number"),
        ({"length_penalty": "a"}, "length_penalty is 'a'; give a number"),
        ({"draft_length": 2.5}, "draft_length is 2.5; give a whole number"),
        ({"draft_length": 0}, "draft_length is 0; it must be 1 or more"),
        ({"draft": "source", "do_sample": True}, "draft is 'source' and do_sample is True"),
        ({"draft": "source", "num_beams": 4}, "draft is 'source' and num_beams is 4; drafts are"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be at least 1e-06 and at most 1e+06"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0.0; it must be above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"typical_p": float("nan")}, "typical_p is nan"),
        ({"min_p": 1.1}, "min_p is 1.1; it must be at least 0 and at most 1. 0 is off"),
        ({"seed": -1}, "seed is -1"),
        ({"do_sample": "no"}, "do_sample is 'no'; give true or false"),
        ({"early_stopping": 1}, "early_stopping is 1; give true or false"),
        ({"diversity_penalty": -0.5}, "diversity_penalty is -0.5; it must be 0 or more"),
    ],
)
def test_what_is_not_allowed(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        GenerationConfig(**changes)  # type: ignore[arg-type]
    assert reason in str(caught.value)


def test_what_is_written_is_read_back_by_us_and_by_transformers(tmp_path: Path) -> None:
    options = GenerationConfig(
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


SAMPLED = GenerationConfig(
    do_sample=True,
    temperature=0.7,
    top_k=0,
    top_p=0.9,
    min_p=0.05,
    typical_p=0.8,
    num_return_sequences=3,
    repetition_penalty=1.2,
    seed=11,
)
GROUPED = GenerationConfig(
    num_beams=4,
    num_beam_groups=2,
    diversity_penalty=0.5,
    num_return_sequences=4,
    encoder_no_repeat_ngram_size=4,
)


@pytest.mark.parametrize("options", [SAMPLED, GROUPED])
def test_sampling_and_groups_are_kept_under_transformers_names(
    options: GenerationConfig, tmp_path: Path
) -> None:
    written = json.loads(json.dumps(write_generation(options, SPECIAL)))
    assert read_generation(written, SPECIAL) == (options, SPECIAL)
    (tmp_path / "generation_config.json").write_text(json.dumps(written))
    theirs = transformers.GenerationConfig.from_pretrained(tmp_path)
    defaults = theirs._get_default_generation_params() | {"min_p": 0.0}
    # How outputs are searched for and written, not which they are.
    ours = {"draft", "draft_length", "detokenize"}
    assert not ours & written.keys()
    for field in fields(GenerationConfig):
        if field.name in ours:
            continue
        value = getattr(theirs, field.name, None)
        value = defaults.get(field.name, 0) if value is None else value
        assert value == getattr(options, field.name), field.name


def test_the_defaults_are_transformers_own() -> None:
    theirs = transformers.GenerationConfig._get_default_generation_params()
    ours = asdict(GenerationConfig())
    assert {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]} == {
        "max_length"
    }
    assert ours.keys() - theirs.keys() == {
        *("min_p", "seed", "draft", "draft_length", "detokenize")
    }
    assert not write_generation(GenerationConfig(), SPECIAL).keys() & {
        "top_k",
        "seed",
        "do_sample",
    }


@pytest.mark.parametrize(
    ("saved", "expected", "told"),
    [
        (
            {"do_sample": True, "num_beams": 4},
            GenerationConfig(num_beams=4),
            "do_sample True",
        ),
        (
            {"num_beams": 4, "diversity_penalty": 0.3},
            GenerationConfig(num_beams=4),
            "diversity_penalty 0.3",
        ),
        ({"num_return_sequences": 3}, GenerationConfig(), "num_return_sequences 3"),
        ({"temperature": 0.0, "top_p": 0.5}, GenerationConfig(top_p=0.5), "temperature 0.0"),
    ],
)
def test_a_file_that_contradicts_itself_loads_with_a_warning(
    saved: dict[str, object],
    expected: GenerationConfig,
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert read_generation(saved, SPECIAL)[0] == expected
    warn_of_unknown(saved, "it")
    (record,) = caplog.records
    assert record.getMessage().endswith(f"are left out: {told}.")


def test_what_a_file_does_not_say_stays() -> None:
    assert read_generation({}, SPECIAL) == (GenerationConfig(), SPECIAL)
    options, special = read_generation(
        {"num_beams": None, "eos_token_id": [7, 8], "temperature": 0.5, "min_length": 500}, SPECIAL
    )
    assert options == GenerationConfig(temperature=0.5)
    assert special == SpecialTokens(start=5, end=7, pad=0)


def test_what_a_model_asks_of_every_output_is_read_and_written() -> None:
    constraints = Constraints(
        forced_bos_token_id=0, forced_eos_token_id=0, bad_words_ids=((9,), (3, 4))
    )
    written = write_generation(GenerationConfig(), SPECIAL, constraints)
    assert read_constraints(json.loads(json.dumps(written))) == constraints
    assert "renormalize_logits" not in written
    plain = write_generation(GenerationConfig(), SPECIAL)
    assert read_constraints(plain) == read_constraints({}) == Constraints()
    assert not plain.keys() & {"forced_bos_token_id", "forced_eos_token_id", "bad_words_ids"}
    listed = {"forced_eos_token_id": [2, 5], "bad_words_ids": None}
    assert read_constraints(listed) == Constraints(forced_eos_token_id=2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"forced_bos_token_id": "x"}, "forced_bos_token_id is 'x'; give a token's id"),
        ({"forced_eos_token_id": -1}, "forced_eos_token_id is -1"),
        ({"bad_words_ids": [[]]}, "give a list of words, each a list of token ids"),
        ({"bad_words_ids": [9]}, "give a list of words"),
        ({"bad_words_ids": "x"}, "give a list of words"),
        ({"renormalize_logits": "no"}, "renormalize_logits is 'no'; give true or false"),
    ],
)
def test_constraints_that_are_invalid(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Constraints(**given)
    assert read_constraints(given) == Constraints()  # a file's are left out


@pytest.mark.parametrize(
    "unusable",
    [
        {"num_beams": 0},
        {"num_beams": "4"},
        {"max_length": "abc"},
        {"max_length": 20, "min_length": 30},
        {"num_beams": 3, "num_beam_groups": 2, "diversity_penalty": 1.0},
        {"num_return_sequences": 0},
        {"do_sample": "yes"},
        {"do_sample": True, "temperature": 0.0},
        {"bad_words_ids": [[]]},
        {"stop_strings": ["."]},
        {"eos_token_id": [2, 5]},
    ],
)
def test_any_file_loads_with_a_warning_for_dropped_settings(
    unusable: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    read_generation(unusable, SPECIAL)
    read_constraints(unusable)
    warn_of_unknown(unusable, "it")
    (record,) = caplog.records
    assert [*unusable][-1] in record.getMessage()


def test_new_tokens_are_counted_as_transformers_counts_them() -> None:
    config = {"max_length": 20, "max_new_tokens": 5, "min_new_tokens": 2}
    options, _ = read_generation(config, SPECIAL)
    assert (options.max_length, options.min_length) == (6, 3)


def test_settings_that_cannot_be_obeyed_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    usual = {"do_sample": False, "repetition_penalty": 1.0, "top_k": 50, "suppress_tokens": None}
    warn_of_unknown({**usual, "num_beams": 4, "sequence_bias": {}}, "it")
    assert not caplog.records
    warn_of_unknown({**usual, "penalty_alpha": 0.6, "encoder_repetition_penalty": 1.2}, "it")
    (record,) = caplog.records
    assert "it asks for" in record.getMessage()
    assert "encoder_repetition_penalty 1.2, penalty_alpha 0.6" in record.getMessage()
