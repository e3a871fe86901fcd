"""Data in the forms in which people have it, each form with several of its members."""

import csv
import gzip
import io
import json
import logging
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from warmstart.data.example import Example
from warmstart.data.read import read_examples
from warmstart.data.read_pairs import read_pairs
from warmstart.data.rows import read_csv, read_json_lines, read_tsv
from warmstart.data.skipped_rows import SkippedRows
from warmstart.errors import DataError, UsageError
from warmstart.tasks.all_tasks import get_task_definition

ROWS = [("How are you?", "Fine, thanks."), ('He said "no".', "No; never."), ("a | b", "c\td")]
PAIRS = [{"source": source, "target": target} for source, target in ROWS]
EXAMPLES = [Example(source, (target,)) for source, target in ROWS]


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PAIRS),
        json.dumps(PAIRS, indent=2),
        json.dumps({"data": PAIRS}),
        json.dumps({"version": "1.1", "data": PAIRS}, indent=1),
        json.dumps({"train": PAIRS}),
        "[\n" + ",\n".join(map(json.dumps, PAIRS)) + "\n]\n",
        "".join(json.dumps(pair) + "\n" for pair in PAIRS),
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json_in_one_value_or_in_lines(tmp_path: Path, name: str, text: str) -> None:
    assert list(read_pairs(write(tmp_path / name, text))) == EXAMPLES


def test_a_line_with_an_array_inside_is_a_row(tmp_path: Path) -> None:
    for line in ({"data": [{"x": 1}], "source": "a"}, {"messages": [{"role": "user"}]}):
        path = write(tmp_path / "a.jsonl", f"{json.dumps(line)}\n{json.dumps(line)}\n")
        assert [row.values for row in read_json_lines(path)] == [line, line]
    path = write(tmp_path / "b.jsonl", json.dumps({"messages": [{"role": "user"}]}))
    assert len(list(read_json_lines(path))) == 1


def test_an_array_that_holds_no_objects(tmp_path: Path) -> None:
    for text in ('[{"source": "a"},\n 5]', "[\n{},\n", '{"data": [\n'):
        with pytest.raises(DataError, match=r"a\.json"):
            list(read_json_lines(write(tmp_path / "a.json", text)))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("excel", [False, True])
def test_any_separator_as_the_csv_module_writes_it(
    tmp_path: Path, separator: str, quoting: int, excel: bool, caplog: pytest.LogCaptureFixture
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([("source", "target"), *ROWS])
    path = write(tmp_path / "a.csv", (f"sep={separator}\r\n" if excel else "") + text.getvalue())
    with caplog.at_level(logging.INFO):
        assert list(read_pairs(path)) == EXAMPLES
    assert ("columns are separated by" in caplog.text) == (separator != ",")
    assert next(iter(read_csv(path))).number == 2 + excel


@pytest.mark.parametrize("separator", [",", ";", "|"])
def test_a_tsv_file_that_has_another_separator(tmp_path: Path, separator: str) -> None:
    path = write(tmp_path / "a.tsv", f"source{separator}target\na{separator}b\n")
    assert list(read_pairs(path)) == [Example("a", ("b",))]
    path = write(tmp_path / "b.tsv", f"one{separator}two\na{separator}b\n")
    assert list(read_pairs(path, {"source": "one", "target": "two"})) == [Example("a", ("b",))]


def test_quotes_of_pandas_in_tsv(tmp_path: Path) -> None:
    # pandas.DataFrame.to_csv(sep="\t") quotes a field that has a quote, and doubles it.
    text = '"source"\t"target"\n"He said ""no""."\t"b"\n'
    assert list(read_pairs(write(tmp_path / "a.tsv", text))) == [Example('He said "no".', ("b",))]
    text = 'source\ttarget\n"He said ""no""."\tb\n"Left" and "right"\t"open\n"all of it"\tc\n'
    rows = [row.values["source"] for row in read_tsv(write(tmp_path / "b.tsv", text), header=True)]
    assert rows == ['He said "no".', '"Left" and "right"', '"all of it"']


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl"])
def test_line_ends_of_old_macs(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "source\ttarget\ra\tb\rc\td\r")
    with pytest.raises(DataError, match=r"line ends of carriage returns alone.*tr "):
        list(read_pairs(path))


@pytest.mark.parametrize(
    "value", ["NaN", "null", '["", null]', "[null, NaN]", "[]", '""', '"  "'], ids=repr
)
def test_a_missing_text_is_empty(tmp_path: Path, value: str) -> None:
    for row in (f'"source": {value}, "target": "b"', f'"source": "a", "target": {value}'):
        path = write(tmp_path / "a.jsonl", f'{{{row}}}\n{{"source": "c", "target": "d"}}\n')
        skipped = SkippedRows()
        assert list(read_pairs(path, skipped=skipped)) == [Example("c", ("d",))]
        assert skipped.rows == 1


@pytest.mark.parametrize("padding", [None, float("nan")])
def test_padded_lists_of_references(tmp_path: Path, padding: float | None) -> None:
    row = {"source": ["a", padding, "b"], "target": ["c", padding, "d", padding]}
    path = write(tmp_path / "a.jsonl", json.dumps(row) + "\n")
    assert list(read_pairs(path)) == [Example("a b", ("c", "d"))]


def test_numbers_are_texts_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = pyarrow.table({"source": ["a", "b"], "target": [1, 2]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert [example.target for example in read_pairs(tmp_path / "a.parquet")] == ["1", "2"]
    path = write(tmp_path / "a.jsonl", '{"source": 2.5, "target": [3, "x"]}\n')
    assert list(read_pairs(path)) == [Example("2.5", ("3", "x"))]
    assert caplog.text.count("has numbers, which are taken as texts") == 3


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("Source\tTarget", ("Source", "Target")),
        ("SOURCE\tTARGET", ("SOURCE", "TARGET")),
        ("Input Text\tTarget-Text", ("Input Text", "Target-Text")),
        ("prompt\tcompletion", ("prompt", "completion")),
        ("question\tanswer", ("question", "answer")),
        ("input_sentence\tsimplified", ("input_sentence", "simplified")),
        ("en\tde", ("en", "de")),
        ("English\tGerman", ("English", "German")),
    ],
)
def test_headers_in_other_spellings(
    tmp_path: Path, header: str, columns: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.tsv", f"{header}\nhello there\thallo\n")
    with caplog.at_level(logging.INFO):
        assert list(read_pairs(path)) == [Example("hello there", ("hallo",))]
    assert f"{columns[0]!r} as the source and {columns[1]!r} as target" in caplog.text


@pytest.mark.parametrize(
    ("line", "warned"),
    [("my text\tits gloss", True), ("quelle\tziel", True), ("How are you?\tFine.", False)],
)
def test_an_unknown_header_is_a_pair_with_a_warning(
    tmp_path: Path, line: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.tsv", f"{line}\nhello\thallo\n")
    assert len(list(read_pairs(path))) == 2
    assert ("If it is a header, name the columns" in caplog.text) == warned
    assert not warned or line.split("\t")[0] in caplog.text


def test_instruction_data(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Translate.", "input": "hello", "output": "hallo"},
        {"instruction": "Say hi.", "input": "", "output": "hi"},
    ]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert list(read_pairs(path)) == [
        Example("Translate. hello", ("hallo",)),
        Example("Say hi.", ("hi",)),
    ]


@pytest.mark.parametrize(
    ("template", "source"),
    [
        ("summarize: {document}", "summarize: Long."),
        ("{title}</s>{document}", "T</s>Long."),
        ("{document} ({meta.lang})", "Long. (en)"),
        ("{lines.0} - {lines.-1}", "one - three"),
        ("{missing}: {document}", ": Long."),
    ],
)
def test_templates(tmp_path: Path, template: str, source: str) -> None:
    row = {"title": "T", "document": "Long.", "meta": {"lang": "en"}, "missing": None, "t": "x"}
    row["lines"] = ["one", "two", "three"]
    columns = {"source": template, "target": "t"}
    path = write(tmp_path / "a.jsonl", json.dumps(row) + "\n")
    assert list(read_pairs(path, columns)) == [Example(source, ("x",))]
    if "missing" in template:
        return
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "a.parquet")
    assert list(read_pairs(tmp_path / "a.parquet", columns)) == [Example(source, ("x",))]


def test_a_template_of_empty_or_unknown_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"a": "", "t": "x"}\n')
    with pytest.raises(DataError, match="is empty"):
        list(read_pairs(path, {"source": "say: {a}", "target": "t"}))
    with pytest.raises(DataError, match="there is no column 'b'"):
        list(read_pairs(path, {"source": "say: {b}", "target": "t"}))


@pytest.mark.parametrize(
    ("column", "role", "content", "user", "assistant"),
    [
        ("messages", "role", "content", "user", "assistant"),
        ("conversations", "from", "value", "human", "gpt"),
    ],
)
def test_chats(
    tmp_path: Path, column: str, role: str, content: str, user: str, assistant: str
) -> None:
    turns = [("system", "Be kind."), (user, "Hello?"), (assistant, "Hi.")]
    row = {column: [{role: who, content: text} for who, text in turns]}
    path = write(tmp_path / "a.jsonl", json.dumps(row) + "\n")
    assert list(read_pairs(path)) == [Example("Hello?", ("Hi.",))]


@pytest.mark.parametrize(
    "names", [("summary1", "summary2", "summary10"), ("Summary_0", "Summary_1", "Summary_2")]
)
def test_references_in_numbered_columns(tmp_path: Path, names: tuple[str, ...]) -> None:
    row = {"document": "Long."} | {name: f"of {name}" for name in reversed(names)}
    path = write(tmp_path / "a.jsonl", json.dumps(row) + "\n")
    assert list(read_pairs(path)) == [Example("Long.", tuple(f"of {name}" for name in names))]


TMX = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en-US"/><body>
<tu><tuv xml:lang="en-US"><seg>Hello <bpt i="1"/>you<ept i="1"/>.</seg></tuv>
<tuv xml:lang="de"><seg>Hallo
 du &amp; ich.</seg></tuv></tu>
<tu tuid="2"><tuv lang="EN"><seg>Bye.</seg></tuv><tuv lang="DE-AT"><seg>Baba.</seg></tuv></tu>
</body></tmx>
"""


@pytest.mark.parametrize("name", ["a.tmx", "a.tmx.gz"])
def test_translation_memories(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(TMX.encode()) if name.endswith(".gz") else TMX.encode())
    english, german = ("Hello you.", "Bye."), ("Hallo du & ich.", "Baba.")
    assert [(example.source, example.target) for example in read_pairs(path)] == [
        *zip(english, german, strict=True)
    ]
    back = read_pairs(path, origin=get_task_definition("translation/de-en").origin)
    assert [(example.source, example.target) for example in back] == [
        *zip(german, english, strict=True)
    ]


@pytest.mark.parametrize(
    "text",
    [
        TMX[:300],
        "<tmx><body></body></tmx>",
        "no XML",
        '<!DOCTYPE a [<!ENTITY b "cccc"><!ENTITY d "&b;&b;">]><tmx><body><tu>&d;</tu></body></tmx>',
    ],
)
def test_damaged_translation_memories(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"a\.tmx (is not valid XML|has no|defines XML entities)"):
        list(read_pairs(write(tmp_path / "a.tmx", text)))


def test_annotated_corrections(tmp_path: Path) -> None:
    # The example of Dahlmeier and Ng (2012), a correct sentence, and one that nobody annotated.
    text = """S The cat sat at mat .
A 3 4|||Prep|||on|||REQUIRED|||-NONE-|||0
A 4 4|||ArtOrDet|||the||a|||REQUIRED|||-NONE-|||0
A 0 2|||Noun|||-NONE-|||REQUIRED|||-NONE-|||1

S Fine .
A -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0

S Alone .
"""
    assert list(read_pairs(write(tmp_path / "a.m2", text))) == [
        Example("The cat sat at mat .", ("The cat sat on the mat .", "sat at mat .")),
        Example("Fine .", ("Fine .",)),
        Example("Alone .", ("Alone .",)),
    ]
    for line in ("A 1 9|||x|||y|||z|||-|||0", "A x|||y", "The cat ."):
        with pytest.raises(DataError, match="line 2"):
            list(read_pairs(write(tmp_path / "b.m2", f"S One two .\n{line}\n")))


@pytest.mark.parametrize("name", ["a.xlsx", "a.XLS", "a.pkl", "a.sgm", "a.db", "a.yaml"])
def test_other_formats_name_a_conversion(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"format that is not read.*(CSV|Parquet|JSON Lines|line)"):
        list(read_pairs(write(tmp_path / name, "anything")))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_parallel_files_in_the_other_order(tmp_path: Path, ending: str) -> None:
    files = [tmp_path / f"train.{language}{ending}" for language in ("en", "de")]
    for file in files:
        file.write_bytes(gzip.compress(b"a\n") if ending else b"a\n")
    with pytest.raises(UsageError, match=r"de to en.*translation/en-de"):
        read_examples(files, origin=get_task_definition("translation/de-en").origin)
    for task in ("translation/en-de", "translation", "translation/fr-en"):
        examples = read_examples(files, origin=get_task_definition(task).origin)
        assert list(examples) == [Example("a", ("a",))]
