from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warmstart.data.columnar import read_arrow, read_parquet
from warmstart.data.example import Example
from warmstart.data.read_pairs import read_pairs
from warmstart.data.rows import Row
from warmstart.errors import DataError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
TABLE = pyarrow.table(
    {"id": [1, 2], "article": ["a", "c"], "highlights": ["b", "d"], "parts": [["x"], ["y", "z"]]}
)


def write_parquet(table: pyarrow.Table, path: Path) -> None:
    pyarrow.parquet.write_table(table, path, row_group_size=1500)


def write_file(table: pyarrow.Table, path: Path) -> None:
    with pyarrow.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=1500)


def write_stream(table: pyarrow.Table, path: Path) -> None:
    with pyarrow.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=1500)


def write_feather(table: pyarrow.Table, path: Path) -> None:
    pyarrow.feather.write_feather(table, path, compression="zstd")


WRITERS = {
    "a.parquet": write_parquet,
    "a.arrow": write_file,
    "b.arrow": write_stream,
    "a.feather": write_feather,
}
EVERY_FORMAT = pytest.mark.parametrize(("name", "write"), WRITERS.items(), ids=WRITERS)
Write = Callable[[pyarrow.Table, Path], None]


def read(path: Path, columns: list[str] | None = None) -> list[Row]:
    reader = read_parquet if path.suffix == ".parquet" else read_arrow
    return list(reader(path, columns))


@EVERY_FORMAT
def test_rows(tmp_path: Path, name: str, write: Write) -> None:
    write(TABLE, tmp_path / name)
    assert read(tmp_path / name) == [
        Row(1, {"id": 1, "article": "a", "highlights": "b", "parts": ["x"]}, "row"),
        Row(2, {"id": 2, "article": "c", "highlights": "d", "parts": ["y", "z"]}, "row"),
    ]
    assert read(tmp_path / name, ["article"])[1] == Row(2, {"article": "c"}, "row")


@EVERY_FORMAT
@settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5), times=st.integers(1, 1000))
def test_reads_what_arrow_writes(
    tmp_path: Path, name: str, write: Write, rows: list[tuple[str, str]], times: int
) -> None:
    rows = rows * times  # more than a block of the file, and of the reader
    sources, targets = map(list, zip(*rows, strict=True))
    write(pyarrow.table({"x": sources, "y": targets}), tmp_path / name)
    read_back = read(tmp_path / name)
    assert [(row.values["x"], row.values["y"]) for row in read_back] == rows
    assert [row.number for row in read_back] == list(range(1, len(rows) + 1))


@EVERY_FORMAT
def test_examples(tmp_path: Path, name: str, write: Write) -> None:
    write(TABLE, tmp_path / name)
    path = tmp_path / name
    assert list(read_pairs(path)) == [Example("a", ("b",)), Example("c", ("d",))]
    columns = {"source": "article + highlights", "target": "parts"}
    assert list(read_pairs(path, columns)) == [Example("a b", ("x",)), Example("c d", ("y", "z"))]


@EVERY_FORMAT
def test_members_of_objects(tmp_path: Path, name: str, write: Write) -> None:
    rows = [{"de": "a", "en": "b"}, {"de": "c", "en": "d"}]
    write(pyarrow.table({"id": [1, 2], "translation": rows}), tmp_path / name)
    columns = {"source": "translation.en", "target": "translation.de"}
    assert list(read_pairs(tmp_path / name, columns))[1] == Example("d", ("c",))


@EVERY_FORMAT
def test_what_is_wrong_names_the_row(tmp_path: Path, name: str, write: Write) -> None:
    write(pyarrow.table({"source": ["a", None], "target": ["b", "c"]}), tmp_path / name)
    with pytest.raises(DataError, match="row 2: the column 'source' is empty"):
        list(read_pairs(tmp_path / name))
    with pytest.raises(DataError, match="row 1: there is no column 'surce'; did you mean 'source'"):
        list(read_pairs(tmp_path / name, {"source": "surce", "target": "target"}))
    write(pyarrow.table({"source": [True], "target": ["b"]}), tmp_path / name)
    with pytest.raises(DataError, match="'source' is not text"):
        list(read_pairs(tmp_path / name))


@EVERY_FORMAT
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_file_that_was_cut(tmp_path: Path, name: str, write: Write, share: float) -> None:
    path = tmp_path / name
    write(pyarrow.table({"source": list(map(str, range(9000)))}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(
        DataError, match=rf"{name} (is not a complete (Parquet|Arrow) file|is empty)"
    ):
        read(path)


@EVERY_FORMAT
def test_other_bad_files(tmp_path: Path, name: str, write: Write) -> None:
    path = tmp_path / name
    with pytest.raises(DataError, match="There is no file"):
        read(path)
    path.write_bytes(b"source\ttarget\n" * 100)
    with pytest.raises(DataError, match="is not a complete"):
        read(path)
    write(pyarrow.table({"source": pyarrow.array([], pyarrow.string())}), path)
    with pytest.raises(DataError, match="has no rows"):
        read(path)
    path.rename(tmp_path / f"{name}.gz")
    with pytest.raises(DataError, match="inside another compression"):
        read(tmp_path / f"{name}.gz")


@EVERY_FORMAT
def test_text_that_is_not_utf8(tmp_path: Path, name: str, write: Write) -> None:
    raw = pyarrow.array([b"fine", b"\xff"], pyarrow.binary())
    text = pyarrow.Array.from_buffers(pyarrow.string(), 2, raw.buffers())
    write(pyarrow.table({"source": text, "target": ["a", "b"]}), tmp_path / name)
    with pytest.raises(DataError, match=r"rows 1 to 2 are damaged .*Invalid UTF8"):
        list(read_pairs(tmp_path / name))
