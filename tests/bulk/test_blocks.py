import gzip
import io
import os
import sys
from pathlib import Path

import pytest

from warmstart.bulk.blocks import Block, read_blocks, total_bytes
from warmstart.errors import DataError


def lines(blocks: list[Block]) -> list[bytes]:
    return [line for block in blocks for line in block.lines]


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    texts = ["\ufeffa\u2028b", "c\u0085d\r", "", "\x0b\x0c\x1c \r e\0", "last"]
    file.write_bytes("\n".join(texts).encode())
    blocks = list(read_blocks([file], 2))
    assert [line.decode() for line in lines(blocks)] == [
        "a\u2028b\n", "c\u0085d\r\n", "\n", "\x0b\x0c\x1c \r e\0\n", "last"
    ]  # fmt: skip
    assert [(block.index, block.end, block.whole) for block in blocks] == [
        (0, 2, True), (1, 5, False)
    ]  # fmt: skip
    assert blocks[-1].bytes == total_bytes([file]) == file.stat().st_size


def test_each_line_knows_its_file_and_number(tmp_path: Path) -> None:
    for name, count in (("a", 3), ("b", 0), ("c", 2)):
        (tmp_path / name).write_text("".join(f"{name}{n}\n" for n in range(1, count + 1)))
    blocks = list(read_blocks([tmp_path / name for name in "abc"], 2))
    for block in blocks:
        for number, line in enumerate(block.lines):
            file, at = block.origin(number)
            assert line.decode() == f"{Path(file).name}{at}\n"
    assert str(blocks[0]) == f"{tmp_path / 'a'}, line 1 to line 2"
    assert str(blocks[1]) == f"{tmp_path / 'a'}, line 3 to {tmp_path / 'c'}, line 2"


def test_packed_files_and_files_without_lines(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        file.write(b"x\ny")
    (tmp_path / "b.gz").touch()
    files = [tmp_path / "a.gz", tmp_path / "b.gz"]
    assert lines(list(read_blocks(files, 9))) == [b"x\n", b"y"]
    assert total_bytes(files) is None
    (tmp_path / "c.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"c\.gz is not a complete gzip file"):
        list(read_blocks([tmp_path / "c.gz"], 9))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfa\nb\n")))
    (block,) = read_blocks([], 9)
    assert (block.lines, block.origin(1)) == ((b"a\n", b"b\n"), ("standard input", 2))
    assert total_bytes([]) is None


def test_blocks_grow_up_to_32_batches(tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_bytes(b"x\n" * 400)
    sizes = [len(block.lines) for block in read_blocks([file], 3)]
    assert sizes == [3, 6, 12, 24, 48, 96, 96, 96, 19]


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe that can be asked")
def test_a_pause_of_standard_input_ends_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb", buffering=0) as more:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        blocks = read_blocks([], 8, pauses=True)
        more.write(b"\xef\xbb\xbfone\ntwo\nhal")
        first = next(blocks)
        assert (first.lines, first.whole) == ((b"one\n", b"two\n"), False)
        more.write(b"f\n" + b"x\n" * 20 + b"last")
        more.close()
        rest = list(blocks)
        assert lines(rest) == [b"half\n", *[b"x\n"] * 20, b"last"]
        assert [block.origin(0) for block in rest] == [
            ("standard input", 3),
            ("standard input", 19),
        ]


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert total_bytes([]) is None
    with pytest.raises(DataError, match="standard input is closed; give a file"):
        next(read_blocks([], 9))


def test_a_digest_detects_any_change_up_to_its_block(tmp_path: Path) -> None:
    def digests(*files: bytes) -> list[str]:
        for number, content in enumerate(files):
            (tmp_path / str(number)).write_bytes(content)
        paths = [tmp_path / str(number) for number in range(len(files))]
        return [block.digest for block in read_blocks(paths, 1)]

    before = digests(b"a\nb\nc\nd\n")
    changed = digests(b"a\nb\nc\nD\n")
    assert changed[:2] == before[:2]
    assert changed[2] != before[2]
    assert digests(b"A\nb\nc\nd\n")[0] != before[0]
    assert digests(b"a\nb\n", b"c\nd\n")[1] != before[1]


def test_long_lines_end_a_block_early(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    file.write_bytes((b"x" * 3_000_000 + b"\n") * 5)
    assert [len(block.lines) for block in read_blocks([file], 1024)] == [2, 2, 1]
