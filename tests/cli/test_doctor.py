import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.command_line import Finished

if TYPE_CHECKING:
    from tests.support.tiny import Checkpoints

Run = Callable[..., Finished]
CHECKS = [
    "loading",
    "special tokens",
    "vocabulary",
    "texts",
    "positions",
    "tensors",
    "sharing",
    "source dependence",
    "cross-attention",
    "round trip",
]


@pytest.fixture
def sick(composed: Path, tmp_path: Path) -> Path:
    """A model whose decoder starts from an ordinary word."""
    folder = shutil.copytree(composed, tmp_path / "sick")
    for file in (folder / "config.json", folder / "generation_config.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "decoder_start_token_id": 7}))
    return folder


def test_warnings_alone_are_no_failure(warmstart: Run, composed: Path) -> None:
    finished = warmstart("doctor", composed)
    assert finished.code == 0
    lines = finished.out.splitlines()
    heads = [line for line in lines if line.startswith(("ok ", "warning ", "problem ", "skipped "))]
    assert [line.split(maxsplit=1)[1].partition(":")[0] for line in heads] == CHECKS
    assert lines[-1] == "10 checks: 6 ok, 3 warning, 1 skipped"
    # Only what is not well is explained.
    for words in ("  Why it matters: ", "  What to do: "):
        assert sum(words in line for line in lines) == 3


def test_a_problem_is_a_failure(warmstart: Run, sick: Path) -> None:
    finished = warmstart("doctor", sick)
    assert finished.code == 1
    assert "error" not in finished.err
    assert "problem  special tokens: The target's start token is cat (7)" in finished.out
    assert "What to do: Correct decoder_start_token_id in generation_config.json" in finished.out
    assert finished.out.endswith("10 checks: 5 ok, 3 warning, 1 problem, 1 skipped\n")


def test_json_has_all_of_it(warmstart: Run, sick: Path, composed: Path) -> None:
    from warmstart.doctor.examine import examine

    for folder, code in ((sick, 1), (composed, 0)):
        finished = warmstart("doctor", folder, "--json")
        assert finished.code == code
        told = json.loads(finished.out)
        assert told["model"] == str(folder)
        assert told["findings"] == [finding.to_json() for finding in examine(folder)]
        assert [finding["check"] for finding in told["findings"]] == CHECKS
        assert told["findings"][1]["figures"]["start"] == (7 if code else 2)


def test_data_of_ones_own(warmstart: Run, composed: Path, pairs: Path) -> None:
    from warmstart.doctor.examine import examine

    rows = [line.split("\t") for line in pairs.read_text().splitlines()[1:]]
    for options, expected in (
        (["--limit", 8], [(row[0], row[1]) for row in rows[:8]]),
        (["--columns", "source=simple,target=complex"], [(row[1], row[0]) for row in rows]),
    ):
        finished = warmstart("doctor", composed, "--data", pairs, *options, "--json")
        told = {found["check"]: found for found in json.loads(finished.out)["findings"]}
        found = {found.check: found for found in examine(composed, expected)}
        figures = told["source dependence"]["figures"]
        assert figures == found["source dependence"].figures
        assert 3 <= figures["pairs"] <= len(expected)
        assert told["texts"]["figures"] == found["texts"].figures
        assert told["texts"]["figures"]["targets"] == len(expected)


def test_a_checkpoint_gets_the_next_command(warmstart: Run, checkpoints: "Checkpoints") -> None:
    finished = warmstart("doctor", checkpoints("bert"))
    assert finished.code == 0
    assert "warmstart compose ENCODER DECODER -o DIR" in finished.out
    assert finished.out.endswith("10 checks: 4 ok, 6 skipped\n")


def test_a_subject_that_cannot_be_read(warmstart: Run, composed: Path, tmp_path: Path) -> None:
    warmstart("doctor", tmp_path / "none").assert_failed(1, "There is no folder")
    warmstart("doctor", composed, "--data", "none.tsv").assert_failed(1, "none.tsv")
    warmstart("doctor").assert_failed(2, "MODEL", "warmstart doctor --help")
    warmstart("doctor", composed, "--limit", 2).assert_failed(2, "--limit")
    columns = ["--columns", "source=a,target=b"]
    warmstart("doctor", composed, *columns).assert_failed(2, "--data FILE")
