import json

from warmstart.metrics.metric import Score


def test_reads_with_two_decimals_and_the_interval() -> None:
    assert str(Score(63.204, (62.812, 63.584), "x")) == "63.20 [62.81, 63.58]"


def test_reads_without_an_interval() -> None:
    assert str(Score(100.0, None, "x")) == "100.00"


def test_is_plain_json() -> None:
    text = json.dumps(Score(63.2, (62.8, 63.6), "sari|nrefs:1").to_json())
    assert json.loads(text) == {"value": 63.2, "ci": [62.8, 63.6], "signature": "sari|nrefs:1"}


def test_json_of_no_interval_is_null() -> None:
    assert Score(1.0, None, "x").to_json()["ci"] is None
