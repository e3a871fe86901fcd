"""Two runs in one folder: the second is turned away while the first is writing."""

import subprocess
import sys
from pathlib import Path

import pytest

from warmstart.errors import OutputError
from warmstart.training.run_folder import locked_folder

HOLD = """
import sys
from pathlib import Path
from warmstart.training.run_folder import locked_folder
with locked_folder(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_one_runs(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"locked\n"
    with pytest.raises(OutputError, match="Another run is writing to"), locked_folder(folder):
        pytest.fail("two at once")
    other.kill()
    other.communicate()
    with locked_folder(folder):  # a killed run holds nothing
        assert [*folder.iterdir()] == [], "the lock is no file"
        with pytest.raises(OutputError), locked_folder(folder):
            pytest.fail("two at once")
    with locked_folder(folder):
        pass
