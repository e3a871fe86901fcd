"""Output files of interrupted and resumed runs."""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pytest

from warmstart.bulk.blocks import Block
from warmstart.bulk.decode import Counts, Written
from warmstart.bulk.file_output import MODEL_FILES, FileOutput, StreamOutput, progress_file
from warmstart.errors import OutputError, UsageError

PARTS = [f"block {number}\n".encode() * 3 for number in range(4)]
BLOCKS = [
    Block(n, (b"\n",) * 3, ((0, "in", 3 * n + 1),), 3 * n + 3, 3 * n + 3, f"digest {n}", n < 3)
    for n in range(4)
]


def opened(path: Path, *, resume: bool = True, overwrite: bool = False) -> FileOutput:
    return FileOutput(path, {"num_beams": 1}, resume=resume, overwrite=overwrite)


def written(output: FileOutput, parts: Sequence[int]) -> None:
    for number in parts:
        output.write(BLOCKS[number], Written(PARTS[number], Counts(lines=3)))


def contents(path: Path) -> bytes:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zst":
        return bytes(pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd").read())
    return path.read_bytes()


@pytest.mark.parametrize("name", ["out.txt", "out.jsonl.gz", "out.zst"])
@pytest.mark.parametrize("done", [0, 1, 3])
@pytest.mark.parametrize("rest", [b"", b"half a li", b"more than\nwas\nnoted\n"])
def test_a_run_continues_from_its_progress_file(
    tmp_path: Path, name: str, done: int, rest: bytes
) -> None:
    whole, path = tmp_path / f"whole-{name}", tmp_path / name
    output = opened(whole)
    written(output, range(4))
    output.close(done=True)
    assert contents(whole) == b"".join(PARTS)
    assert sorted(tmp_path.iterdir()) == [whole]

    output = opened(path)
    written(output, range(done))
    if done:
        output.close(done=False)
    else:
        output._begin()
        output.file.close()  # killed
    with path.open("ab") as file:
        file.write(rest)  # written and not yet noted when the process was killed
    output = opened(path)
    assert output.start.lines == 3 * done
    assert output.start.digest == (f"digest {done - 1}" if done else "")
    assert output.start.counts == Counts(lines=3 * done)
    written(output, range(done, 4))
    output.close(done=True)
    assert path.read_bytes() == whole.read_bytes()
    assert not progress_file(path).exists()


def test_the_last_block_is_noted_only_with_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    output = opened(path)
    written(output, range(4))
    output.close(done=False)
    assert json.loads(progress_file(path).read_text())["lines"] == 9
    output = opened(path)
    assert output.start.lines == 9
    output.close(done=False)


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    opened(path).close(done=False)
    assert list(tmp_path.iterdir()) == []
    path.write_text("old\n")
    opened(path, resume=False, overwrite=True).close(done=False)
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]
    opened(path, resume=False, overwrite=True).close(done=True)  # nothing in, nothing out
    assert path.read_bytes() == b""


@pytest.mark.parametrize("trouble", ["killed", "full"])
def test_trouble_before_the_first_block(
    tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.txt"
    output = opened(path)
    if trouble == "killed":
        output.file.close()
    else:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space")))
            with pytest.raises(OutputError, match="the disk is full"):
                written(output, [0])
        output.close(done=False)
        assert list(tmp_path.iterdir()) == []
    output = opened(path)
    assert not output.finished
    written(output, range(4))
    output.close(done=True)
    assert path.read_bytes() == b"".join(PARTS)


def test_a_name_that_leaves_no_room_for_the_note(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="shorter name: its progress file"):
        opened(tmp_path / ("x" * 245))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("mine\n")
    with pytest.raises(OutputError, match=r"out\.txt exists; --overwrite replaces it"):
        opened(path, resume=False)
    assert opened(path).finished
    output = opened(path, resume=False, overwrite=True)
    written(output, [0])
    output.close(done=False)
    assert path.read_bytes() == PARTS[0]
    with pytest.raises(OutputError, match="is unfinished; --resume continues it"):
        opened(path, resume=False)


def test_other_settings_and_damage(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    output = opened(path)
    written(output, [0])
    output.close(done=False)
    with pytest.raises(UsageError, match="begun with num_beams 1, and now it is 4"):
        FileOutput(path, {"num_beams": 4}, resume=True, overwrite=False)
    with pytest.raises(UsageError, match="with min_length not given, and now it is 2"):
        FileOutput(path, {"num_beams": 1, "min_length": 2}, resume=True, overwrite=False)
    with pytest.raises(UsageError, match=r"out\.txt was begun with another model, or the model's"):
        FileOutput(path, {"num_beams": 1, MODEL_FILES: "x"}, resume=True, overwrite=False)
    path.write_bytes(PARTS[0][:-1])
    with pytest.raises(OutputError, match="has 23 bytes, but its run recorded 24"):
        opened(path)
    path.unlink()
    with pytest.raises(OutputError, match=r"out\.txt is gone, but its run recorded"):
        opened(path)
    assert not path.exists()
    progress_file(path).write_text("{")
    with pytest.raises(OutputError, match="is damaged or of another version"):
        opened(path)


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    first = opened(tmp_path / "out.txt")
    written(first, [0])
    with pytest.raises(OutputError, match="is being written by another process"):
        opened(tmp_path / "out.txt")
    first.close(done=False)
    assert (tmp_path / "out.txt").read_bytes() == PARTS[0]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        stream = StreamOutput(full, "standard output")
        with pytest.raises(OutputError, match=r"standard output .*: the disk is full"):
            stream.write(BLOCKS[0], Written(PARTS[0], Counts()))
    output = opened(tmp_path / "out.txt")
    written(output, [0])
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(OutputError, match=r"out\.txt cannot be written: the disk is full"):
        output.close(done=False)
