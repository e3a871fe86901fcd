from pathlib import Path

import pytest

from warmstart.errors import UsageError
from warmstart.recipe.yaml_settings import read_settings


def settings(tmp_path: Path, text: str, *overrides: str) -> dict[str, object]:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    return read_settings(file, overrides)


def test_values_are_those_of_yaml(tmp_path: Path) -> None:
    text = "a: {b: 1, c: [x, 2.5]}\nd: null\n"
    assert settings(tmp_path, text) == {"a": {"b": 1, "c": ["x", 2.5]}, "d": {}}


def test_overrides_are_typed_and_come_one_after_the_other(tmp_path: Path) -> None:
    overrides = ["a.b=2", "a.new.deep=[1, x]", "e={f: true}", "a.b=three", "a.g=null", "e.h=a=b"]
    assert settings(tmp_path, "a: {b: 1, c: x}\n", *overrides) == {
        "a": {"b": "three", "c": "x", "new": {"deep": [1, "x"]}, "g": None},
        "e": {"f": True, "h": "a=b"},
    }


def test_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "/somewhere")
    text = "a: ${PLACE}/b\nc: ['$PLACE', '${PLACE}']\n"
    assert settings(tmp_path, text) == {"a": "/somewhere/b", "c": ["$PLACE", "/somewhere"]}
    monkeypatch.delenv("PLACE")
    with pytest.raises(UsageError, match=r"variables that are not set: PLACE; set them"):
        settings(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: ]\nc: 2\n", r"settings\.yaml, line 2 is not valid YAML"),
        ("a:\n  b: 1\n  b: 2\n", r"settings\.yaml, line 3 is not valid YAML: 'b' is repeated"),
        ("a: \x00", "not valid YAML"),
        ("", "holds no sections"),
        ("- a\n", "holds no sections"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings(tmp_path, text)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no file .*nowhere\.yaml"):
        read_settings(tmp_path / "nowhere.yaml")
    with pytest.raises(UsageError, match=r"cannot be read"):
        read_settings(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(UsageError, match=r"latin\.yaml is not UTF-8"):
        read_settings(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("a", "'a' is not a setting"),
        ("=1", "'=1' is not a setting"),
        ("a..b=1", "is not a setting"),
        ("a.b.c=1", r"a\.b is 1 and has no keys"),
        ("a.b=[", r"the value of 'a\.b=\[', line 1 is not valid YAML"),
    ],
)
def test_an_override_that_cannot_be_set(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings(tmp_path, "a: {b: 1}\n", override)
