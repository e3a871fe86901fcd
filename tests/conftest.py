"""The surroundings of every test, set before torch or the hub client is imported.

They are environment variables, so that a command started by a test has them too.
"""

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tiny import Checkpoints

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may depend on a network
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # else tokenizers warn after a fork
os.environ["OMP_NUM_THREADS"] = "1"  # tiny models: a second thread costs more than it brings
os.environ["NO_COLOR"] = "1"  # what a command prints is compared as plain text
os.environ["COLUMNS"] = "100"  # and may not wrap with the width of somebody's terminal
os.environ.pop("FORCE_COLOR", None)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test leaves anything in somebody's cache, or finds what is there."""
    os.environ["WARMSTART_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> "Checkpoints":
    """Tiny checkpoints, each made once: ``checkpoints("bert")`` is its folder."""
    from tests.tiny import Checkpoints  # not above: it loads torch, which many tests do not need

    return Checkpoints(tmp_path_factory.mktemp("checkpoints"))
