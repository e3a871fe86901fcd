"""A command line run in this process, and what tiny models and data it works on."""

import io
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from warmstart.cli.main import run

if TYPE_CHECKING:
    from tests.tiny import Checkpoints

Make = Callable[..., Path]


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    def assert_failed(self, code: int, *words: str) -> None:
        """It told in one line, in which all the words are, and gave no result."""
        assert (self.code, self.out) == (code, ""), self.err
        *logs, error = self.err.splitlines()
        assert error.startswith("error: ")
        assert not any(line.startswith(("error", "Traceback")) for line in logs)
        for word in words:
            assert word in error


@pytest.fixture
def warmstart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Finished]:
    """Runs a command line; paths and numbers need not be text, and `stdin` is what it reads."""

    def command(*arguments: object, stdin: str | bytes = "") -> Finished:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    return command


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
    from tests.tiny import WORDS

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
