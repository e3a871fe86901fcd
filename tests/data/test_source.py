from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.data.columns import Columns
from warmstart.data.source import HubName, Part, hub_name, is_part, parse_source
from warmstart.errors import UsageError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.tsv", [Part(file="a.tsv")]),
        (Path("a.tsv"), [Part(file=Path("a.tsv"))]),
        (["a.en", "a.de"], [Part(file=("a.en", "a.de"))]),
        ("hub:wmt/wmt14:de-en", [Part(file="hub:wmt/wmt14:de-en")]),
        ({"file": "a.tsv", "split": "dev"}, [Part(file="a.tsv", split="dev")]),
        (
            [{"file": "a.tsv"}, {"file": ["a.en", "a.de"]}],
            [Part(file="a.tsv"), Part(file=("a.en", "a.de"))],
        ),
        (
            [
                {"file": "a", "weight": 2, "columns": {"source": 1, "target": 2}},
                {"file": "b", "weight": 0.5},
            ],
            [
                Part(file="a", weight=2, columns=Columns(source="1", targets=("2",))),
                Part(file="b", weight=0.5),
            ],
        ),
    ],
)
def test_parse(value: Any, expected: list[Part]) -> None:
    assert parse_source(value) == tuple(expected)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "5 is not data; give a path"),
        (None, "None is not data"),
        ("", "'' is not data"),
        ([], "is not data"),
        (["a", {"file": "b"}], "is not data"),
        (["a.tsv"], "a.tsv is given as parallel text, which needs two"),
        (["hub:a/b", "c.txt"], "is given as parallel text"),
        ({"weight": 2}, "names no file, only weight; add file: PATH"),
        ({"file": "a", "wieght": 2}, "no setting 'wieght'; did you mean 'weight'"),
        ({"file": 5}, "5 is not data"),
        ({"file": "a", "columns": "b"}, "columns are 'b'; give"),
        ({"file": "a", "columns": {"sorce": "b"}}, "no side 'sorce'"),
        ({"file": "a", "split": 5}, "split is 5; give the name"),
        ({"file": "a", "weight": 0}, "the weight of a is 0; it must be a number above 0"),
        ({"file": "a", "weight": -1}, "the weight of a is -1; it must be a number above 0"),
        ({"file": "a", "weight": "2"}, "the weight of a is '2'"),
        ({"file": "a", "weight": True}, "the weight of a is True"),
        ({"file": "a", "weight": float("nan")}, "the weight of a is nan"),
        ({"file": "a", "weight": float("inf")}, "the weight of a is inf"),
        ([{"file": "a", "weight": 1}, {"file": "b"}], "b has no weight and others have; give"),
        ("hub:", "names no data set; give hub:NAME or hub:NAME:CONFIG"),
        ("hub:a/b:c:d", "names no data set"),
        ("hub:a/b/c", "names no data set"),
        ({"file": "hub:a/b:"}, "names no data set"),
    ],
)
def test_parse_refuses(value: Any, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_source(value)
    assert message in str(raised.value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.just("hub:a/b"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["file", "weight", "columns", "split", "x"]), inner)
        | st.fixed_dictionaries({"file": st.text(min_size=1)}, optional={"weight": inner})
    ),
    max_leaves=6,
)


@given(value=JSON)
def test_anything_is_parts_or_an_error_in_words(value: object) -> None:
    try:
        parts = parse_source(value)
    except UsageError:
        return
    assert parts
    assert len({part.weight is None for part in parts}) == 1


def test_hub_names() -> None:
    assert hub_name("hub:a/b") == HubName("a/b", None)
    assert hub_name(Path("hub:a/b:c")) == HubName("a/b", "c")  # as the command line reads it
    assert str(hub_name("hub:a/b:c")) == "hub:a/b:c"
    assert hub_name("a/b") is None
    assert hub_name(["hub:a/b"]) is None


def test_a_file_with_settings_is_no_mapping_of_splits() -> None:
    assert is_part({"file": "a"})
    assert is_part({"weight": 1})
    assert not is_part({"train": "a", "test": "b"})
    assert not is_part({})
    assert not is_part("file")
