import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warmstart.data.rows import Row, file_format, read_csv, read_json_lines, read_tsv
from warmstart.errors import DataError

# What a CSV field may hold: anything but a lone carriage return, which spreadsheets never write.
FIELDS = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=8)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.tsv", "tsv"),
        ("a.TSV.GZ", "tsv"),
        ("a.b.csv", "csv"),
        ("a.jsonl.gz", "jsonl"),
        ("a.ndjson", "jsonl"),
    ],
)
def test_format_by_name(name: str, expected: str) -> None:
    assert file_format(Path(name)) == expected


@pytest.mark.parametrize("name", ["a.txt", "a", "a.gz", "a.txt.zst", "a.docx"])
def test_unknown_format_lists_the_known(name: str) -> None:
    with pytest.raises(DataError, match=r"ends in \.tsv, \.csv, \.jsonl, \.ndjson"):
        file_format(Path(name))


def test_tsv_leaves_quotes_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", '"an open quote\tb\nc "d" \'e\td""\n')
    assert list(read_tsv(path, header=False)) == [
        Row(1, {"1": '"an open quote', "2": "b"}),
        Row(2, {"1": 'c "d" \'e', "2": 'd""'}),
    ]


def test_tsv_with_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "x\ty\r\na\tb\r\n")
    assert list(read_tsv(path, header=True)) == [Row(2, {"x": "a", "y": "b"})]


@pytest.mark.parametrize("line", ["a", "a\tb\tc", ""])
def test_tsv_row_with_another_number_of_fields(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "a.tsv", f"a\tb\n{line}\nc\td\n")
    fields = line.count("\t") + 1
    with pytest.raises(DataError, match=rf"a\.tsv, line 2 has {fields} fields.* has 2"):
        list(read_tsv(path, header=False))


def test_csv_quotes_commas_and_line_breaks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'x,y\r\n"a, ""b""","two\r\nlines"\r\n\r\nc,d\r\n')
    assert list(read_csv(path)) == [
        Row(2, {"x": 'a, "b"', "y": "two\nlines"}),
        Row(5, {"x": "c", "y": "d"}),
    ]


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=4))
def test_csv_reads_what_csv_writes(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("x", "y"), *rows])
    assert [(row.values["x"], row.values["y"]) for row in read_csv(path)] == rows


def test_csv_field_longer_than_the_default_limit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"x,y\n{'a' * 200_000},b\n")
    assert [row.values["y"] for row in read_csv(path)] == ["b"]


def test_csv_with_an_open_quote(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'x,y\na,b\n"c,d\ne,f\n')
    with pytest.raises(DataError, match=r"a\.csv, line 3 is not valid CSV"):
        list(read_csv(path))


def test_csv_row_with_another_number_of_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x,y\na,b\nc, d, e\n")
    with pytest.raises(DataError, match=r"a\.csv, line 3 has 3 fields"):
        list(read_csv(path))


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x,y,x\na,b,c\n")
    with pytest.raises(DataError, match="two columns named 'x'"):
        list(read_csv(path))


def test_json_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"x": "a\\nb", "y": ["c", "d"]}\n\n{"x": "\\u00e4"}\n')
    assert list(read_json_lines(path)) == [
        Row(1, {"x": "a\nb", "y": ["c", "d"]}),
        Row(3, {"x": "ä"}),
    ]


@pytest.mark.parametrize(
    "line", ['{"x": "a"', "plain text", "{'x': 'a'}", "[" * 100_000, "1" * 5000]
)
def test_invalid_json_names_the_line(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"x": "a"}}\n{line}\n')
    with pytest.raises(DataError, match=r"a\.jsonl, line 2 is not valid JSON"):
        list(read_json_lines(path))


@pytest.mark.parametrize(
    ("value", "kind"), [([1], "array"), ("a", "string"), (1.5, "number"), (None, "null")]
)
def test_json_that_is_no_object(tmp_path: Path, value: object, kind: str) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps(value) + "\n")
    with pytest.raises(DataError, match=rf"line 1 holds a JSON {kind}"):
        list(read_json_lines(path))


def test_header_without_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no rows"):
        list(read_csv(write(tmp_path / "a.csv", "x,y\n")))
    with pytest.raises(DataError, match="has no rows"):
        list(read_tsv(write(tmp_path / "a.tsv", "x\ty\n"), header=True))
    with pytest.raises(DataError, match="has no rows"):
        list(read_json_lines(write(tmp_path / "a.jsonl", "\n\n")))
