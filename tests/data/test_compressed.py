import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from warmstart.data.compressed import compression, without_compression
from warmstart.data.lines import read_lines
from warmstart.errors import DataError

LONG = "\n".join(map(str, range(50_000))).encode()


def zstd(content: bytes) -> bytes:
    return bytes(pyarrow.compress(content, codec="zstd", asbytes=True))


PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd, ".ZSTD": zstd}
EVERY_ENDING = pytest.mark.parametrize("ending", PACK)


def test_names() -> None:
    assert compression(Path("a.tsv")) is None
    assert compression(Path("a.tsv.gz")) == "gzip"
    assert compression(Path("a.tsv.ZST")) == "zstd"
    assert without_compression(Path("b/a.tsv.zst")) == Path("b/a.tsv")
    assert without_compression(Path("b/a.tsv")) == Path("b/a.tsv")


@pytest.mark.parametrize("name", ["a.tsv.bz2", "a.txt.xz", "a.zip", "train.tar", "a.7z", "a.lz4"])
def test_a_compression_that_is_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"whatever")
    with pytest.raises(DataError, match=r"allowed are gzip \(\.gz\) and zstd \(\.zst\). Unpack"):
        list(read_lines(tmp_path / name))


@EVERY_ENDING
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_reads_as_the_plain_file(tmp_path: Path, ending: str, content: str) -> None:
    plain, packed = tmp_path / "a.txt", tmp_path / f"a.txt{ending}"
    assume("\r" not in content.partition("\n")[0][:-1])  # lines may not end in CR alone
    plain.write_bytes(content.encode())
    packed.write_bytes(PACK[ending](content.encode()))
    assert list(read_lines(packed)) == list(read_lines(plain))


@EVERY_ENDING
def test_several_parts_in_one_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(PACK[ending](b"one\ntw") + PACK[ending](b"o\nthree\n"))
    assert list(read_lines(path)) == ["one", "two", "three"]


@EVERY_ENDING
@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_file_that_was_cut(tmp_path: Path, ending: str, share: float) -> None:
    packed = PACK[ending](LONG)
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(packed[: int(len(packed) * share)])
    with pytest.raises(DataError, match=rf"a\.txt\{ending} is not a complete (gzip|zstd) file"):
        list(read_lines(path))


@EVERY_ENDING
def test_plain_text_under_a_compressed_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(LONG)
    with pytest.raises(DataError, match=rf"take \{ending} off its name"):
        list(read_lines(path))


@EVERY_ENDING
def test_compressed_text_under_a_plain_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(PACK[ending](LONG))
    with pytest.raises(
        DataError, match=rf"looks compressed: end its name in \{ending.lower()[:4]}"
    ):
        list(read_lines(path))


@EVERY_ENDING
def test_a_missing_and_an_empty_file(tmp_path: Path, ending: str) -> None:
    with pytest.raises(DataError, match="There is no file"):
        list(read_lines(tmp_path / f"a.txt{ending}"))
    (tmp_path / f"b.txt{ending}").write_bytes(PACK[ending](b""))
    with pytest.raises(DataError, match="is empty"):
        list(read_lines(tmp_path / f"b.txt{ending}"))
    (tmp_path / f"c.txt{ending}").mkdir()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        list(read_lines(tmp_path / f"c.txt{ending}"))
