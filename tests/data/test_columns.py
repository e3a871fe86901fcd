import pytest

from warmstart.data.columns import (
    KINDS,
    WELL_KNOWN,
    ColumnMapping,
    Columns,
    KnownColumns,
    find_columns,
)
from warmstart.errors import UsageError


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"source": "a", "target": "b"}, Columns(source="a", targets=("b",))),
        ({"source": "a", "targets": ["b", "c"]}, Columns(source="a", targets=("b", "c"))),
        ({"source": 1, "target": [3, 2]}, Columns(source="1", targets=("3", "2"))),
        (
            {"source": "a", "target": "b", "weight": "w"},
            Columns(source="a", targets=("b",), weight="w"),
        ),
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
        ({"source": 1, "target": 2, "weight": ""}, "'' is not a column"),
        ({"source": 1, "target": 2, "weights": 3}, "did you mean 'weight'"),
        ({"source": True, "target": 1}, "True is not a column"),
        ({"source": ["a", "b"], "target": "c"}, "is not a column"),
    ],
)
def test_parse_refuses(mapping: ColumnMapping, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        Columns.parse(mapping)


@pytest.mark.parametrize("known", WELL_KNOWN, ids=lambda known: known.source)
def test_finds_every_well_known_pair(known: KnownColumns) -> None:
    names = ["id", *reversed(known.columns.all)]
    assert find_columns(names) == known
    assert find_columns(names, [known.kind]) == known
    assert find_columns(names, [kind for kind in KINDS if kind != known.kind]) is None


def test_every_kind_but_translation_has_well_known_columns() -> None:
    # A translation's columns are named as its languages, see `recognize_columns`.
    assert {known.kind for known in WELL_KNOWN} == {*KINDS} - {"translation"}


def test_half_of_joined_columns_is_not_enough() -> None:
    names = ["complex_sentence", "simple_sentence_1"]
    assert find_columns(names) is None
    assert find_columns([*names, "simple_sentence_2"]) is not None


def test_finds_nothing_in_other_names() -> None:
    assert find_columns(["text", "label"]) is None


def test_joined_columns_are_columns_of_their_own() -> None:
    columns = Columns.parse({"source": "a + b", "target": ["c", "d+e + f"]})
    assert columns.all == ("a", "b", "c", "d+e", "f")
    assert Columns.parse({"source": "1 + 3", "target": 2}).numbered


def test_numbers_are_columns_without_a_header() -> None:
    assert Columns.parse({"source": 1, "target": 2}).numbered
    assert not Columns.parse({"source": 1, "target": "b"}).numbered
