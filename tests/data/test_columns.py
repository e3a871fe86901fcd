import pytest

from warmstart.data.columns import WELL_KNOWN, ColumnMapping, Columns, find_columns
from warmstart.errors import UsageError


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"source": "a", "target": "b"}, Columns(source="a", targets=("b",))),
        ({"source": "a", "targets": ["b", "c"]}, Columns(source="a", targets=("b", "c"))),
        ({"source": 1, "target": [3, 2]}, Columns(source="1", targets=("3", "2"))),
    ],
)
def test_parse(mapping: ColumnMapping, expected: Columns) -> None:
    assert Columns.parse(mapping) == expected


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"sorce": "a", "target": "b"}, "no side 'sorce'; did you mean 'source'"),
        ({"source": "a"}, "columns name source; they need a source and a target"),
        ({}, "columns name nothing"),
        ({"source": "a", "target": "b", "targets": "c"}, "they need a source and a target"),
        ({"source": "a", "target": []}, "name no target"),
        ({"source": "a", "target": ""}, "'' is not a column"),
        ({"source": 0, "target": 1}, "0 is not a column"),
        ({"source": True, "target": 1}, "True is not a column"),
        ({"source": ["a", "b"], "target": "c"}, "is not a column"),
    ],
)
def test_parse_refuses(mapping: ColumnMapping, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        Columns.parse(mapping)


@pytest.mark.parametrize("pair", WELL_KNOWN)
def test_finds_every_well_known_pair(pair: tuple[str, str]) -> None:
    source, target = pair
    assert find_columns(["id", target, source]) == Columns(source=source, targets=(target,))


def test_finds_nothing_in_other_names() -> None:
    assert find_columns(["text", "label"]) is None


def test_numbers_are_columns_without_a_header() -> None:
    assert Columns.parse({"source": 1, "target": 2}).numbered
    assert not Columns.parse({"source": 1, "target": "b"}).numbered
