"""Jobs: options of decoding as keywords, and the settings that a resumed run must share."""

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from warmstart.bulk.job import Job
from warmstart.errors import UsageError
from warmstart.generation.generation_config import Constraints, GenerationConfig


def test_options_of_decoding_are_kept_as_given() -> None:
    job = Job(model="m", num_beams=1, batch_size=8, long="chunk", dtype="int8")
    assert job.decoding == {"num_beams": 1, "batch_size": 8, "long": "chunk"}
    assert (job.model, job.dtype, job.compile) == ("m", "int8", "no")
    assert job.option("max_source_length") is None
    assert job == Job(
        model="m", dtype="int8", num_beams=1, decoding={"batch_size": 8, "long": "chunk"}
    )


def test_a_changed_copy_keeps_the_options() -> None:
    job = Job(model="m", num_beams=2, input_format="jsonl")
    changed = replace(job, source_column="text", num_beams=1, min_length=3)
    assert changed.decoding == {"num_beams": 1, "min_length": 3}
    assert (changed.source_column, changed.input_format) == ("text", "jsonl")
    assert pickle.loads(pickle.dumps(changed)) == changed


def test_settings_are_those_that_version_0_1_noted() -> None:
    """As they stand in the progress files of that version."""
    plain = {
        "dtype": "float32",
        "batch_size": 32,
        "max_source_length": None,
        "long": "truncate",
        "chunk_overlap": 0,
        "prefix": None,
        "regex": None,
        "input_format": "text",
        "output_format": "text",
        "source_column": None,
        "output_column": "output",
        "scores": False,
        "alignments": None,
        "choices": None,
    }
    assert Job(model="m", errors="replace", compile="wait").settings() == plain
    job = Job(
        model="m",
        dtype="int8",
        batch_size=4,
        choices=("a", "b"),
        output_format="jsonl",
        scores=True,
        num_beams=4,
        length_penalty=0.6,
    )
    assert json.loads(json.dumps(job.settings())) == {
        **plain,
        "dtype": "int8",
        "batch_size": 4,
        "choices": ["a", "b"],
        "output_format": "jsonl",
        "scores": True,
        "num_beams": 4,
        "length_penalty": 0.6,
    }


def test_settings_name_a_whole_config_and_constraints() -> None:
    job = Job(
        model="m",
        config=GenerationConfig(num_beams=3),
        constraints=Constraints(forced_bos_token_id=7),
    )
    settings = json.loads(json.dumps(job.settings()))
    assert settings["config"]["num_beams"] == 3
    assert settings["constraints"]["forced_bos_token_id"] == 7


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"batch_size": 0}, "batch_size is 0; it must be 1 or more"),
        ({"num_beams": "4"}, "num_beams is '4'; give a whole number, 1 or more"),
        ({"compile": "yes"}, "compile is 'yes'; Allowed: no, background, wait"),
        ({"num_beam": 4}, "Job has no option 'num_beam'; did you mean 'num_beams'"),
        ({"decoding": {"num_beam": 4}}, "decoding has no option 'num_beam'; did you mean"),
        ({"overrides": {}}, "Job has no option 'overrides'; give each setting as a keyword"),
        ({"prefix": ["a", "b"]}, "give one text for all outputs of a job"),
        ({"scores": True}, "scores needs the output format jsonl"),
        ({"output_column": "x"}, "output_column needs the output format jsonl"),
        ({"num_return_sequences": 2}, "num_return_sequences above 1 needs the output format"),
    ],
)
def test_what_is_not_allowed(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        Job(model="m", **given)
    assert reason in str(caught.value)
