"""Whose data a file is, by its columns."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from warmstart.data.example import Example
from warmstart.errors import DataError
from warmstart.tasks.all_tasks import TASKS, get_task_definition

# A row of each kind, and one that may be anything's.
ROWS: dict[str, dict[str, Any]] = {
    "summarization": {"article": "a", "highlights": "b", "id": "1"},
    "simplification": {"complex": "a", "simple": "b"},
    "correction": {"sentence": "a", "corrections": ["b", "c"]},
    "splitting": {"complex_sentence": "a", "simple_sentence_1": "b ", "simple_sentence_2": " c"},
    "fusion": {
        "incoherent_first_sentence": "a",
        "incoherent_second_sentence": "b",
        "coherent_first_sentence": "c",
        "coherent_second_sentence": "",
        "discourse_type": "PAIR_NONE",
    },
    "translation": {"translation": {"de": "a", "en": "b"}},
    "pairs": {"source": "a", "target": "b"},
}
EXPECTED = {
    "summarization": Example("a", ("b",)),
    "simplification": Example("a", ("b",)),
    "correction": Example("a", ("b", "c")),
    "splitting": Example("a", ("b c",)),
    "fusion": Example("a b", ("c",)),
    "translation": Example("a", ("b",)),
    "pairs": Example("a", ("b",)),
}


def write(path: Path, row: dict[str, Any]) -> Path:
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("name", [task.name for task in TASKS if task.name != "wmt14"])
def test_a_task_takes_its_own_data_and_refuses_others(
    tmp_path: Path, name: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.jsonl", ROWS[kind])
    definition = get_task_definition(name)
    examples = definition.read(path)
    if kind in definition.origin.kinds:
        with caplog.at_level(logging.INFO):
            assert list(examples) == [EXPECTED[kind]]
        assert f"{path}: took the column" in caplog.text
    else:
        with pytest.raises(DataError, match=rf"data for {kind}, and the task takes data for "):
            list(examples)


def test_the_error_names_a_task_that_would_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", ROWS["summarization"])
    with pytest.raises(DataError) as raised:
        list(get_task_definition("wikisplit").read(path))
    assert str(raised.value) == (
        f"{path} has the columns 'article' and 'highlights', which is data for summarization, and "
        "the task takes data for splitting and simplification; use the task summarization, or "
        "name the columns to use them anyway: source=article, target=highlights."
    )
    columns = {"source": "article", "target": "highlights"}
    examples = get_task_definition("wikisplit").read(path, columns)
    assert list(examples) == [Example("a", ("b",))]


def test_a_header_of_another_task_is_no_row_of_two_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("article\thighlights\na\tb\n", encoding="utf-8")
    with pytest.raises(DataError, match="data for summarization"):
        list(get_task_definition("discofuse").read(path))


def test_wikisplit_files_have_no_header_to_know_them_by(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("a b .\ta . <::::> b .\n", encoding="utf-8")
    for name in ("discofuse", "summarization", "translation"):
        with pytest.raises(DataError, match=r"data for splitting.*use the task wikisplit"):
            list(get_task_definition(name).read(path))
    for name in ("wikisplit", "simplification", "pairs"):
        assert len(list(get_task_definition(name).read(path))) == 1


def test_the_languages_of_a_task_decide_the_direction(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", ROWS["translation"])
    other = write(tmp_path / "b.jsonl", {"en": "b", "de": "a", "fr": "c"})
    for file in (path, other):
        for name in ("translation/de-en", "wmt14/de-en"):
            assert list(get_task_definition(name).read(file)) == [Example("a", ("b",))]
        for name in ("translation/en-de", "wmt14"):
            assert list(get_task_definition(name).read(file)) == [Example("b", ("a",))]


def test_without_languages_the_order_is_taken_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.jsonl", {"translation": {"fr": "a", "en": "b"}})
    with caplog.at_level(logging.INFO):
        assert list(get_task_definition("translation").read(path)) == [Example("a", ("b",))]
    assert "translation/en-fr is the other direction" in caplog.text


def test_a_translation_of_other_languages(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"translation": {"fr": "a", "en": "b"}})
    with pytest.raises(DataError, match="translation of fr and en, and the task is en to de; name"):
        list(get_task_definition("wmt14").read(path))
    path = write(tmp_path / "a.jsonl", {"translation": {"fr": "a", "en": "b", "de": "c"}})
    assert list(get_task_definition("wmt14/fr-en").read(path)) == [Example("a", ("b",))]
    with pytest.raises(DataError, match=r"is in fr, en, de; name two of its languages"):
        list(get_task_definition("translation").read(path))


def test_own_columns_go_before_those_of_anything(tmp_path: Path) -> None:
    row = {"source": "a newspaper", "target": "x", "document": "a", "summary": "b"}
    path = write(tmp_path / "a.jsonl", row)
    assert list(get_task_definition("xsum").read(path)) == [Example("a", ("b",))]
    assert list(get_task_definition("pairs").read(path)) == [Example("a newspaper", ("x",))]


def test_columns_named_as_languages_are_a_header(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("en\tde\nb\ta\n", encoding="utf-8")
    assert list(get_task_definition("translation/de-en").read(path)) == [Example("a", ("b",))]
    assert list(get_task_definition("translation/en-de").read(path)) == [Example("b", ("a",))]
