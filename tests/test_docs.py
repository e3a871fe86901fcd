"""The code, commands, links and tables in docs/ are correct."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.support.tiny import save_checkpoint
from tests.support.tiny_seq2seq import SEQ2SEQ, save_seq2seq
from torch.distributed.run import get_args_parser

from warmstart.cli.main import run
from warmstart.families.catalogue import FAMILIES
from warmstart.seq2seq import Seq2Seq

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NAMES = [page.relative_to(DOCS).as_posix() for page in PAGES]


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


def test_the_composing_page_composes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(DOCS / "how-to" / "compose-a-model.md", "python")
    for hub_id, family in (
        ("answerdotai/ModernBERT-base", "modernbert"),
        ("Qwen/Qwen3-0.6B", "qwen3"),
    ):
        assert hub_id in code
        folder = save_checkpoint(tmp_path / family, family, layers=6)
        code = code.replace(hub_id, str(folder))
    names: dict[str, object] = {}
    exec(code, names)
    assert "cross-attention" in capsys.readouterr().out
    assert len(names["model"].model.decoder.blocks) == 6  # type: ignore[attr-defined]


def test_the_families_page_loads_a_seq2seq_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = blocks(DOCS / "reference" / "families.md", "python")
    folder = save_seq2seq(tmp_path / "bart", "bart")
    exec(code.replace("facebook/bart-base", str(folder)), {})
    assert capsys.readouterr().out.startswith("[")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_and_option_exists(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(page, "console"):
        for line in block.splitlines():
            name, *arguments = shlex.split(line)
            assert name == "warmstart"
            words = 2 if arguments[0] == "data" else 1  # `warmstart data fusion`
            assert run([*arguments[:words], "--help"]) == 0
            described = capsys.readouterr().out
            for argument in arguments:
                if argument.startswith("-"):
                    assert re.search(rf"(^|[ ,]){argument}\b", described, flags=re.MULTILINE)


def test_the_scripts_and_manifests_of_many_machines(capsys: pytest.CaptureFixture[str]) -> None:
    page = DOCS / "how-to" / "train-on-many-machines.md"
    scripts = blocks(page, "bash")
    launcher = get_args_parser().format_help()
    assert run(["train", "--help"]) == 0
    described = capsys.readouterr().out
    for script in scripts:
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr
        for command in re.findall(
            r"torchrun (.*?-m warmstart train .*)", script.replace("\\\n", "")
        ):
            _check_launch(shlex.split(command.removesuffix("&")), launcher, described)
    (manifest,) = blocks(page, "yaml")
    service, job = yaml.safe_load_all(manifest)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    _check_launch(container["args"], launcher, described)
    assert job["spec"]["completions"] == job["spec"]["parallelism"]
    assert f"--nnodes={job['spec']['completions']}" in container["args"]
    (endpoint,) = (each for each in container["args"] if "--rdzv-endpoint" in each)
    host = f"{job['metadata']['name']}-0.{pod['subdomain']}"
    assert endpoint == f"--rdzv-endpoint={host}:29500"
    assert service["metadata"]["name"] == pod["subdomain"]
    assert service["spec"]["selector"]["job-name"] == job["metadata"]["name"]
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == {each["name"] for each in pod["volumes"]}
    assert pod["terminationGracePeriodSeconds"] > 110


def _check_launch(words: list[str], launcher: str, described: str) -> None:
    """Options before `-m` are torchrun's, those after it ours."""
    at = words.index("-m")
    assert words[at + 1 : at + 3] == ["warmstart", "train"]
    for options, told in ((words[:at], launcher), (words[at + 1 :], described)):
        for option in options:
            if option.startswith("--"):
                name = option.partition("=")[0]
                assert re.search(rf"(^|[ ,]){name}\b", told, flags=re.MULTILINE), name


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_to_a_page_of_docs(page: Path) -> None:
    """A site made of docs/ alone has nothing outside it."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.is_file(), target
        assert linked.is_relative_to(DOCS), target
        assert not anchor or anchor in anchors(linked), target


def anchors(page: Path) -> set[str]:
    """As GitHub and MkDocs make them from headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_lists_every_page() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", (DOCS / "index.md").read_text(encoding="utf-8"))
    assert sorted(linked) == [name for name in NAMES if name != "index.md"]


def test_cells_of_tables_are_short() -> None:
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith("|"):
                assert max(map(len, line.split("|"))) <= 250, (page.name, line)


@pytest.mark.parametrize(
    "name", ["constrain-outputs.md", "speed-up-decoding.md", "evaluate-outputs.md"]
)
def test_the_pages_on_outputs_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the compiler, which has tests of its own."""
    monkeypatch.chdir(tmp_path)
    bert = save_checkpoint(tmp_path / "bert", "bert")
    Seq2Seq.warm_start(encoder=bert, decoder=bert).save_pretrained("out/final")
    pairs = [f"the cat sat on mat {i}\tthe dog ran over house {i}" for i in range(30)]
    Path("pairs.tsv").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    names: dict[str, object] = {}
    code = blocks(DOCS / "how-to" / name, "python")
    for block in code[:1] if name == "evaluate-outputs.md" else code:
        exec(block.replace('compile="background"', 'compile="no"'), names)


@pytest.mark.parametrize("name", ["start/first-model.md", "how-to/train.md"])
def test_the_pages_on_training_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With tiny checkpoints, and fewer steps."""
    monkeypatch.chdir(tmp_path)
    pairs = [f"the cat sat on mat {i}\tthe dog ran over house {i}" for i in range(30)]
    Path("pairs.tsv").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    (code,) = blocks(DOCS / name, "python")
    for hub_id, family in (
        ("google-bert/bert-base-uncased", "bert"),
        ("openai-community/gpt2", "gpt2"),
    ):
        code = code.replace(hub_id, str(save_checkpoint(tmp_path / family, family)))
    assert "max_steps=2000" in code
    exec(code.replace("max_steps=2000", "max_steps=2"), {})
    assert (tmp_path / "out" / "final" / "model.safetensors").is_file()


def test_the_page_on_reports_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pairs.tsv").write_text("the cat\tthe dog\n" * 2 + "a\tb\n" * 20, encoding="utf-8")
    (code,) = blocks(DOCS / "how-to" / "inspect-data.md", "python")
    exec(code, {})
    assert "train: " in capsys.readouterr().out


def test_the_table_of_families_is_whole_and_within_rounding() -> None:
    """`scripts/compare_families.py` writes it; the parity tests hold the figures."""
    text = (DOCS / "reference" / "families.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ") and "| -- |" not in line]
    rows = [line.strip("| ").split(" | ") for line in lines]
    table = {row[0]: row[1:] for row in rows if len(row) == 8 and row[0] != "family"}
    assert [*table] == [family.name for family in FAMILIES]
    whole = {row[0]: row[1:] for row in rows if len(row) == 4 and row[0] != "model"}
    assert [*whole] == [*SEQ2SEQ]
    assert all(float(logits) < 1e-5 and float(bf) <= 3 for _, logits, bf in whole.values())
    for family in FAMILIES:
        pretrained_as, _, encoder, decoder, shared, bfloat16, _ = table[family.name]
        assert pretrained_as == family.pretrained_as
        assert max(float(encoder), float(decoder)) < 1e-5
        assert float(shared) == 0
        assert float(bfloat16) <= 3


def test_the_page_on_files_generates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bert = save_checkpoint(tmp_path / "bert", "bert")
    Seq2Seq.warm_start(encoder=bert, decoder=bert).save_pretrained("out/final")
    Path("sources.txt").write_text("the cat sat\n\n" + "She is big. " * 40 + "\n")
    (code,) = blocks(DOCS / "how-to" / "generate-files.md", "python")
    exec(code, {})
    assert capsys.readouterr().out == "3 0 1 0\n"
    assert len(Path("outputs.txt").read_text().splitlines()) == 3
