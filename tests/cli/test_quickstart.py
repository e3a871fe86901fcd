"""The verb alone; `make quickstart` runs the whole of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.command_line import Finished

from warmstart.discourse.rule_pair import RulePair
from warmstart.metrics.metric import Score
from warmstart.quickstart import run_quickstart as module
from warmstart.quickstart.splitting import SplittingPairs
from warmstart.quickstart.summary import report
from warmstart.seq2seq import Seq2Seq

if TYPE_CHECKING:
    from tests.support.tiny import Checkpoints

Run = Callable[..., Finished]


@pytest.fixture
def result(checkpoints: "Checkpoints", monkeypatch: pytest.MonkeyPatch) -> module.QuickstartResult:
    """What a run came to, in the place of a run of minutes."""
    bert = checkpoints("bert")
    split = ("A.", "This is because B.")
    pair = RulePair("inner connective", "inner connective: because", "A because B.", split, split)
    scores = {"sari": Score(60.0, (59.0, 61.0), "sari"), "bleu": Score(70.0, None, "bleu")}
    provenance = Seq2Seq.warm_start(encoder=bert, decoder=bert).provenance
    assert provenance is not None
    systems = [
        module.System(name=module.COPY, outputs=("A because B.",), scores=scores),
        module.System(name=module.RANDOM_START, outputs=("a",), scores=scores, loss=4.0, seconds=9),
        module.System(name=module.WARM_START, outputs=("b",), scores=scores, loss=2.0, seconds=8),
    ]
    finished = module.QuickstartResult(
        config=module.QuickstartConfig(),
        pairs=SplittingPairs(train=(pair,), held_out=(pair,)),
        systems=tuple(systems),
        provenance=provenance,
        folder=Path("somewhere"),
        seconds=20.0,
    )

    def run(output_dir: Path) -> module.QuickstartResult:
        assert output_dir == Path("somewhere")
        return finished

    monkeypatch.setattr(module, "run", run)
    return finished


def test_the_report_is_printed(warmstart: Run, result: module.QuickstartResult) -> None:
    assert warmstart("quickstart", "-o", "somewhere") == Finished(0, report(result) + "\n", "")


def test_json(warmstart: Run, result: module.QuickstartResult) -> None:
    told = json.loads(warmstart("quickstart", "-o", "somewhere", "--json").out)
    assert told["pairs"] == {"train": 1, "held_out": 1}
    assert [system["name"] for system in told["systems"]] == [
        "source copied",
        "random start",
        "warm start",
    ]
    assert [system["loss"] for system in told["systems"]] == [None, 4.0, 2.0]
    assert told["systems"][1]["scores"]["sari"]["ci"] == [59.0, 61.0]
