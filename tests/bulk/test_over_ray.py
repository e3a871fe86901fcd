"""A Ray cluster of two nodes, each with processes of its own, of which one is killed."""

import logging
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny import WORDS

from warmstart.bulk.blocks import Block
from warmstart.bulk.decode import Counts
from warmstart.bulk.job import Job
from warmstart.bulk.run import generate_files

ray = pytest.importorskip("ray")
# Ray's own, when it starts and ends.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    try:
        yield cluster
    finally:
        ray.shutdown()  # type: ignore[no-untyped-call]
        cluster.shutdown()  # type: ignore[no-untyped-call]


def busy_actors(cluster: Any) -> list[int]:
    """The processes of the cluster that decode at the moment."""
    nodes = {node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()}
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            title = (folder / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent in nodes and title.startswith(b"ray::Worker.decode"):
            found.append(int(folder.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_one_killed_in_the_middle(
    cluster: Any, composed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dice = random.Random(0)
    source = tmp_path / "in.txt"
    texts = [" ".join(dice.choices(WORDS, k=dice.randint(0, 7))) for _ in range(400)]
    source.write_text("\n".join(texts) + "\n")
    job = Job(model=str(composed), batch_size=1, max_length=4)
    generate_files(job, [source], output=tmp_path / "whole.txt")
    killed: list[int] = []

    def kill(block: Block, counts: Counts) -> None:
        busy = busy_actors(cluster)
        if not killed and busy:
            os.kill(busy[0], signal.SIGKILL)
            killed.append(busy[0])

    with caplog.at_level(logging.INFO):
        counts = generate_files(
            job, [source], output=tmp_path / "out.txt", ray=cluster.address, on_block=kill
        )
    assert "starting 2 actors on 2 machines with 1 threads each" in caplog.text
    assert len(killed) == 1
    assert counts.lines == 400
    assert (tmp_path / "out.txt").read_bytes() == (tmp_path / "whole.txt").read_bytes()
