import gzip
import json
import logging
from pathlib import Path

import pytest
from tests.support.shared_data import shared_data

from warmstart.data.columns import ColumnMapping
from warmstart.data.example import Example
from warmstart.data.read import read_examples
from warmstart.data.read_pairs import read_pairs, read_parallel
from warmstart.errors import DataError, UsageError

TWO = [Example("a", ("b",)), Example("c", ("d",))]


def write(path: Path, text: str) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "a\tb\nc\td\n"),
        ("a.tsv", "\ufeffa\tb\r\nc\td\r\n"),
        ("a.tsv", "source\ttarget\na\tb\nc\td\n"),
        ("a.tsv", "simple\tcomplex\tid\nb\ta\t1\nd\tc\t2\n"),
        ("a.csv", "\ufeffid,article,highlights\r\n1,a,b\r\n2,c,d\r\n"),
        ("a.csv", 'input,output\n"a",b\nc,"d"\n'),
        ("a.jsonl", '{"document": "a", "summary": "b"}\n{"document": "c", "summary": "d"}\n'),
        (
            "a.jsonl",
            '{"translation": {"de": "a", "en": "b"}}\n{"translation": {"en": "d", "de": "c"}}\n',
        ),
    ],
)
def test_finds_the_columns(tmp_path: Path, name: str, text: str, ending: str) -> None:
    assert list(read_pairs(write(tmp_path / (name + ending), text))) == TWO


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.tsv", "p\tq\na\tb\nc\td\n", {"source": "p", "target": "q"}),
        ("a.tsv", "1\tb\ta\n2\td\tc\n", {"source": 3, "target": 2}),
        ("a.tsv", "1\tb\ta\n2\td\tc\n", {"source": "3", "target": "2"}),
        ("a.csv", "source,target,p\nb,x,a\nd,x,c\n", {"source": "p", "target": "source"}),
        ("a.csv", "1,2\na,b\nc,d\n", {"source": 1, "target": 2}),
        (
            "a.jsonl",
            '{"t": {"en": "b", "de": "a", "fr": "x"}}\n{"t": {"en": "d", "de": "c"}}\n',
            {"source": "t.de", "target": "t.en"},
        ),
    ],
)
def test_takes_the_given_columns(
    tmp_path: Path, name: str, text: str, columns: ColumnMapping
) -> None:
    assert list(read_pairs(write(tmp_path / name, text), columns)) == TWO


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('{"source": "a", "target": ["b", "c"]}\n', None),
        ('{"source": "a", "targets": ["b", "c"]}\n', None),
        ('{"s": "a", "t": "b", "u": ["c"]}\n', {"source": "s", "targets": ["t", "u"]}),
    ],
)
def test_several_references(tmp_path: Path, text: str, columns: ColumnMapping | None) -> None:
    examples = list(read_pairs(write(tmp_path / "a.jsonl", text), columns))
    assert examples == [Example("a", ("b", "c"))]
    assert examples[0].target == "b"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"p": "One .", "q": "Two ."}, "One . Two ."),
        ({"p": " One . ", "q": None}, "One ."),
        ({"p": " ", "q": "Two ."}, "Two ."),
        ({"p": ["One .", "Two ."], "q": "Three ."}, "One . Two . Three ."),
        ({"p": "x", "q": "y", "p + q": "a name of its own"}, "a name of its own"),
    ],
)
def test_columns_are_joined(tmp_path: Path, row: dict[str, object], expected: str) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps(row | {"t": "u"}) + "\n")
    examples = list(read_pairs(path, {"source": "p + q", "target": "t"}))
    assert examples == [Example(expected, ("u",))]


def test_joined_columns_that_do_not_do(tmp_path: Path) -> None:
    columns = {"source": "p + q", "target": "t"}
    path = write(tmp_path / "a.jsonl", '{"p": "", "q": null, "t": "u"}\n')
    with pytest.raises(DataError, match=r"the column 'p \+ q' is empty"):
        list(read_pairs(path, columns))
    path = write(tmp_path / "a.jsonl", '{"p": "a", "t": "u"}\n')
    with pytest.raises(DataError, match=r"there is no column 'q'; .*Allowed: p, t"):
        list(read_pairs(path, columns))
    path = write(tmp_path / "a.jsonl", '{"p": "a", "q": {}, "t": "u"}\n')
    with pytest.raises(DataError, match="the column 'q' is not text"):
        list(read_pairs(path, columns))


def test_a_source_that_is_a_list_of_sentences_is_joined(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"source": ["One .", "", "Two ."], "target": "t"}\n')
    assert list(read_pairs(path)) == [Example("One . Two .", ("t",))]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "a\tb\nc\td\n", "no header; took the first column as the source"),
        ("a.csv", "complex,simple\na,b\n", "took the column 'complex' as the source and 'simple'"),
    ],
)
def test_says_which_columns_it_took(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, text: str, message: str
) -> None:
    path = write(tmp_path / name, text)
    with caplog.at_level(logging.INFO):
        list(read_pairs(path))
    assert message in caplog.text
    assert str(path) in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "columns", "message"),
    [
        (
            "a.csv",
            "complx,simple\na,b\n",
            {"source": "complex", "target": "simple"},
            "line 2: there is no column 'complex'; did you mean 'complx'",
        ),
        ("a.csv", "p,q\na,b\n", None, "has the columns p, q, and no pair of well-known names"),
        ("a.tsv", "a\tb\tc\n", None, "has 3 columns and no header with well-known names"),
        ("a.tsv", "a\n", None, "has 1 columns"),
        ("a.tsv", "a\tb\n", {"source": 1, "target": 3}, "no column '3'; Allowed: 1, 2"),
        (
            "a.tsv",
            "a\tb\nc\td\n",
            {"source": "x", "target": "y"},
            "no column 'x'.*If the first line is not a header, give columns by number",
        ),
        (
            "a.jsonl",
            '{"source": "a", "target": "b"}\n{"source": "a"}\n',
            None,
            "line 2: there is no column 'target'; Allowed: source",
        ),
        (
            "a.jsonl",
            '{"t": {"de": "a", "en": "b"}}\n',
            {"source": "t.de", "target": "t.eng"},
            "there is no column 't.eng'; did you mean 't.en'",
        ),
        ("a.tsv", "a\tb\nc\t\n", None, r"a\.tsv, line 2: the column '2' is empty"),
        ("a.tsv", "a\tb\n \td\n", None, "line 2: the column '1' is empty"),
        ("a.csv", "source,target\na,b\n,d\n", None, "line 3: the column 'source' is empty"),
        ("a.jsonl", '{"source": "a", "target": null}\n', None, "column 'target' is empty"),
        ("a.jsonl", '{"source": "a", "target": []}\n', None, "column 'target' is empty"),
        ("a.jsonl", '{"source": [], "target": "b"}\n', None, "column 'source' is empty"),
        ("a.jsonl", '{"source": "a", "target": ["b", ""]}\n', None, "column 'target' is empty"),
        ("a.jsonl", '{"source": false, "target": "b"}\n', None, "column 'source' is not text"),
        ("a.jsonl", '{"source": ["a", 5], "target": "b"}\n', None, "'source' is not text"),
        ("a.jsonl", '{"source": "a", "target": {"x": 1}}\n', None, "'target' is not text"),
        ("a.jsonl", '{"source": "\\ud800", "target": "b"}\n', None, "half of a surrogate pair"),
        ("a.txt", "a\n", None, r"a\.txt has no known format"),
    ],
)
def test_refuses(
    tmp_path: Path, name: str, text: str, columns: ColumnMapping | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list(read_pairs(write(tmp_path / name, text), columns))


def test_reads_no_further_than_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "a\tb\nbroken\n")
    assert next(iter(read_pairs(path))) == Example("a", ("b",))


def test_a_wrong_mapping_is_refused_before_reading(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'source'"):
        read_pairs(tmp_path / "nowhere.tsv", {"sources": "a", "target": "b"})


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_parallel_text(tmp_path: Path, ending: str) -> None:
    source = write(tmp_path / f"a.en{ending}", 'a\n"c\n')
    target = write(tmp_path / f"a.de{ending}", "b\r\nd\r\n")
    assert list(read_parallel([source, target])) == [Example("a", ("b",)), Example('"c', ("d",))]


def test_parallel_text_with_several_references(tmp_path: Path) -> None:
    files = [write(tmp_path / name, f"{name}\n") for name in ("a", "b", "c")]
    assert list(read_parallel(files)) == [Example("a", ("b", "c"))]


def test_parallel_files_of_different_length(tmp_path: Path) -> None:
    source = write(tmp_path / "a.en", "a\nb\nc\n")
    target = write(tmp_path / "a.de", "a\nb\n")
    with pytest.raises(DataError, match=r"same number of lines.*a\.en 3, .*a\.de 2"):
        list(read_parallel([source, target]))


def test_parallel_file_with_an_empty_line(tmp_path: Path) -> None:
    source = write(tmp_path / "a.en", "a\nb\n")
    target = write(tmp_path / "a.de", "a\n\n")
    with pytest.raises(DataError, match=r"a\.de, line 2 is empty"):
        list(read_parallel([source, target]))


def test_parallel_text_needs_two_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 given"):
        read_parallel([tmp_path / "a.en"])


def test_plain_text_has_no_columns(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no columns"):
        read_examples([tmp_path / "a", tmp_path / "b"], {"source": "a", "target": "b"})


def test_reads_scitldr() -> None:
    path = shared_data("scitldr", "SciTLDR-A.dev.jsonl.gz")
    examples = list(read_pairs(path))
    with gzip.open(path, "rt", encoding="utf-8") as file:
        first = json.loads(next(file))
    assert len(examples) == 619
    assert examples[0] == Example(" ".join(first["source"]), tuple(first["target"]))


def test_aeslc_needs_columns() -> None:
    path = shared_data("aeslc", "dev.raw.jsonl.gz")
    with pytest.raises(DataError, match="has the columns file, text, and no pair"):
        next(iter(read_pairs(path)))


def test_reads_multi30k() -> None:
    files = [shared_data("multi30k", name) for name in ("val.en.gz", "val.de.gz")]
    examples = list(read_parallel(files))
    assert len(examples) == 1014
    assert examples[0].source == "A group of men are loading cotton onto a truck"


def test_reads_newstest_whatever_separators_are_in_its_lines() -> None:
    files = [shared_data("newstest", f"newstest2013.{side}.gz") for side in ("eng", "deu")]
    assert len(list(read_parallel(files))) == 3000


WEIGHTED = [Example("a", ("b",), 0.5), Example("c", ("d",), 2.0)]


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.tsv", "a\tb\t0.5\nc\td\t2\n", (1, 2, 3)),
        ("a.tsv", "p\tw\tq\na\t 5e-1 \tb\nc\t+2.0\td\n", ("p", "q", "w")),
        ("a.csv", "p,q,w\na,b,.5\nc,d,2\n", ("p", "q", "w")),
        (
            "a.jsonl",
            '{"p": "a", "q": "b", "m": {"w": 0.5}}\n{"p": "c", "q": "d", "m": {"w": 2}}',
            ("p", "q", "m.w"),
        ),
    ],
)
def test_weights(tmp_path: Path, name: str, text: str, columns: tuple[str | int, ...]) -> None:
    path = write(tmp_path / name, text)
    mapping = dict(zip(("source", "target", "weight"), columns, strict=True))
    assert list(read_pairs(path, mapping)) == WEIGHTED
    assert list(read_examples(path, mapping)) == WEIGHTED
    assert list(read_examples(path, mapping, split="validation")) == TWO, "they are for training"


@pytest.mark.parametrize(
    "value", ["-1", "nan", "inf", '"much"', '""', "null", "true", "[1]", "1e999", "1" * 400]
)
def test_invalid_weights(tmp_path: Path, value: str) -> None:
    value = {"nan": "NaN", "inf": "Infinity"}.get(value, value)
    good = '{"source": "a", "target": "b", "w": 1}\n'
    path = write(tmp_path / "a.jsonl", good + good.replace(": 1}", f": {value}}}"))
    told = r"line 2: the column 'w' is .*; a weight is a number of 0 or more, such as 0.5"
    with pytest.raises(DataError, match=told):
        list(read_pairs(path, {"source": "source", "target": "target", "weight": "w"}))


def test_a_column_of_weights_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "source\ttarget\na\tb\n")
    with pytest.raises(DataError, match="there is no column 'weight'"):
        list(read_pairs(path, {"source": "source", "target": "target", "weight": "weight"}))
