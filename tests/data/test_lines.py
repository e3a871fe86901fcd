import gzip
from pathlib import Path

import pytest

from warmstart.data.lines import read_lines
from warmstart.errors import DataError

TEXT = "one\ntwo\n"


def lines_of(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    return list(read_lines(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\ntwo", ["one", "two"]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"\xef\xbb\xbfone\ntwo\n", ["one", "two"]),
        (b"one\n\n two \n", ["one", "", " two "]),
        ("a\u2028b\x0bc\x85d\re\n".encode(), ["a\u2028b\x0bc\x85d\re"]),
    ],
    ids=["lf", "no-end", "crlf", "bom", "blank", "other-separators"],
)
def test_lines_end_at_line_feeds(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    assert lines_of(tmp_path / "a.txt", content) == expected
    assert lines_of(tmp_path / "a.txt.gz", gzip.compress(content)) == expected


def test_reads_no_further_than_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\n\xff\n")
    assert next(read_lines(path)) == "good"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*nowhere\.txt"):
        list(read_lines(tmp_path / "nowhere.txt"))


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_lines(tmp_path))


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    content = gzip.compress(b"") if name.endswith(".gz") else b""
    with pytest.raises(DataError, match=rf"{name} is empty"):
        lines_of(tmp_path / name, content)


def test_invalid_utf8_names_the_line_and_the_byte(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt, line 2 is not UTF-8: byte 0xe4 at position 2;"):
        lines_of(tmp_path / "a.txt", b"fine\nb\xe4r\n")


def test_gzip_without_its_name_is_recognised(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"looks compressed: end its name in \.gz"):
        lines_of(tmp_path / "a.txt", gzip.compress(TEXT.encode()))


def test_plain_text_named_gz(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"take \.gz off its name"):
        lines_of(tmp_path / "a.txt.gz", TEXT.encode())


def test_truncated_gzip(tmp_path: Path) -> None:
    compressed = gzip.compress("\n".join(map(str, range(10000))).encode())
    with pytest.raises(DataError, match="is not a complete gzip file"):
        lines_of(tmp_path / "a.txt.gz", compressed[: len(compressed) // 2])


def test_damaged_gzip(tmp_path: Path) -> None:
    compressed = bytearray(gzip.compress("\n".join(map(str, range(10000))).encode()))
    compressed[200:400] = bytes(200)
    with pytest.raises(DataError, match="is not a complete gzip file"):
        lines_of(tmp_path / "a.txt.gz", bytes(compressed))
