"""The code, commands and links in the README are correct."""

import re
import shlex
from pathlib import Path

import pytest
from tests.support.tiny import save_checkpoint

from warmstart.cli.main import run

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
ROOT = Path(__file__).parents[1]


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tiny checkpoints in the place of the published ones, and fewer steps."""
    monkeypatch.chdir(tmp_path)
    pairs = [f"the cat sat on mat {i}\tthe dog ran over house {i}" for i in range(30)]
    Path("pairs.tsv").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    code = blocks("python")[0]
    for hub_id, family in (
        ("google-bert/bert-base-uncased", "bert"),
        ("openai-community/gpt2", "gpt2"),
    ):
        assert hub_id in code
        code = code.replace(hub_id, str(save_checkpoint(tmp_path / family, family)))
    assert "max_steps=2000" in code
    exec(code.replace("max_steps=2000", "max_steps=2"), {})
    assert (tmp_path / "out" / "final" / "model.safetensors").is_file()


def commands() -> list[list[str]]:
    return [shlex.split(line) for block in blocks("console") for line in block.splitlines()]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_and_option_exists(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name, *arguments = command
    assert name == "warmstart"
    words = 2 if arguments[0] == "data" else 1  # `warmstart data fusion`
    assert run([*arguments[:words], "--help"]) == 0
    described = capsys.readouterr().out
    for argument in arguments:
        if argument.startswith("-"):
            assert re.search(rf"(^|[ ,]){argument}\b", described, flags=re.MULTILINE), argument


def test_the_tree_names_what_is_there() -> None:
    tree = next(block for block in blocks("") if block.startswith("src/warmstart/\n"))
    for line in tree.splitlines():
        name = line.split()[0]
        inside = ROOT / "src" / "warmstart" if line.startswith("  ") else ROOT
        assert (inside / name).exists(), name


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
