"""The environment and the fixtures of every test.

The environment variables are set before torch or the hub client is imported, and are inherited by
commands that tests start.
"""

import gc
import io
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.command_line import Finished

if TYPE_CHECKING:
    from tests.support.tiny import Checkpoints

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may depend on a network
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # else tokenizers warn after a fork
# Tiny models: a second thread costs more than it brings. scripts/numeric_sweep tries several.
os.environ["OMP_NUM_THREADS"] = os.environ.get("WARMSTART_TEST_THREADS", "1")
os.environ["NO_COLOR"] = "1"  # the output of commands is compared as plain text
os.environ["COLUMNS"] = "100"  # and must not wrap with the width of a developer's terminal
os.environ.pop("FORCE_COLOR", None)

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # the checks run in the background of a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)  # commands would inherit it

_modules = 0  # at the last call of `_freeze`


def _freeze() -> None:
    """Exempts all objects from garbage collection; most are code and take long."""
    global _modules
    _modules = len(sys.modules)
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    """The modules of all tests are loaded."""
    _freeze()


def pytest_runtest_logfinish() -> None:
    """A test has ended, which may have loaded more."""
    if len(sys.modules) > _modules + 100:
        _freeze()


# Fixtures import torch, and what imports it, when they are called: many tests need none of it.


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test writes to a developer's cache, or reads from it."""
    os.environ["WARMSTART_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def no_sync() -> Iterator[None]:
    """Nobody cuts the power of a test run: files need not reach the disk at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Checkpoints"]:
    """Tiny checkpoints, each made once: ``checkpoints("bert")`` is its folder."""
    from tests.support.tiny import Checkpoints

    made = Checkpoints(tmp_path_factory.mktemp("checkpoints"))
    yield made
    assert not made.changed(), "a test of this session changed what all share"


@pytest.fixture(scope="session")
def composed(checkpoints: "Checkpoints", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of two tiny BERTs. Do not change it."""
    from warmstart.seq2seq import Seq2Seq

    folder = tmp_path_factory.mktemp("models") / "composed"
    bert = checkpoints("bert")
    Seq2Seq.warm_start(encoder=bert, decoder=bert).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pairs of texts of a few words, with a header. Do not change it."""
    from tests.support.tiny import WORDS

    generator = random.Random(0)
    lines = ["complex\tsimple"]
    for _ in range(40):
        words = generator.choices(WORDS, k=generator.randint(2, 8))
        lines.append(f"{' '.join(words)}\t{' '.join(words[:3])}")
    file = tmp_path_factory.mktemp("data") / "pairs.tsv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture
def recipe(checkpoints: "Checkpoints", pairs: Path, tmp_path: Path) -> Path:
    """A recipe of a few steps, whose run goes to ``tmp_path / "run"``."""
    file = tmp_path / "recipe.yaml"
    file.write_text(
        f"""
model: {{encoder: '{checkpoints("bert")}', decoder: '{checkpoints("bert")}'}}
task: {{name: pairs, data: '{pairs}', metrics: [exact_match, sari], validation_size: 8}}
training:
  output_dir: '{tmp_path / "run"}'
  max_steps: 4
  batch_size: 4
  warmup_steps: 1
  learning_rate: 1e-3
  evaluate_every: 2
  evaluation_examples: 4
generation: {{max_length: 6}}
"""
    )
    return file


@pytest.fixture
def warmstart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Finished]:
    """Runs a command line in this process, of arguments of any type and with `stdin` as input."""
    from warmstart.cli.main import run

    def command(*arguments: object, stdin: str | bytes = "") -> Finished:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    return command
