"""What all verbs have in common: help, exit codes, and the quiet of other libraries."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.support.command_line import Finished

import warmstart
from warmstart.cli.main import make_app

COMMAND = [
    sys.executable,
    "-c",
    "import sys; from warmstart.cli.main import main; sys.exit(main())",
]
VERBS = (
    "compose",
    "inspect",
    "doctor",
    "data",
    "train",
    "evaluate",
    "compare",
    "generate",
    "list",
    "export",
    "quickstart",
)
Run = Callable[..., Finished]


def test_help_names_every_verb(warmstart: Run) -> None:
    finished = warmstart("--help")
    assert (finished.code, finished.err) == (0, "")
    for verb in VERBS:
        assert f"\n  {verb} " in finished.out


HEAVY = ("torch", "transformers", "datasets", "numpy", "pyarrow", "pydantic", "rich", "yaml")


def test_help_loads_no_library_that_takes_time() -> None:
    """It answers in a fraction of a second, which a test does not time."""
    code = (
        "import atexit, sys\n"
        "from warmstart.cli.main import main\n"
        f"atexit.register(lambda: print('loaded:', [n for n in {HEAVY} if n in sys.modules]))\n"
        "sys.argv = ['warmstart', '--help']\n"
        "sys.exit(main())"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.endswith("loaded: []\n")


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_help_with_its_default(verb: str) -> None:
    group = typer.main.get_command(make_app(verb))
    command = group.commands[verb]  # type: ignore[attr-defined]
    for inner in getattr(command, "commands", {}).values():  # `warmstart data fusion`
        check_options(inner)
    check_options(command)


def check_options(command: Any) -> None:
    context = typer.Context(command)
    for parameter in command.params:
        text = parameter.get_help_record(context)
        assert text is not None, parameter.name
        text = text[1]
        assert len(text) > 3, parameter.name
        if parameter.param_type_name == "option":
            stated = ("default: ", "[required]", "show this message")
            assert any(words in text.lower() for words in stated), f"{parameter.name}: {text}"


def test_help_of_a_verb_loads_no_torch() -> None:
    code = (
        "import sys\nfrom warmstart.cli.main import run\n"
        f"codes = [run([verb, '--help']) for verb in {VERBS!r}]\n"
        "sys.exit(str(codes) if any(codes) or 'torch' in sys.modules else 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.count("Usage: warmstart ") == len(VERBS)


def test_version(warmstart: Run) -> None:
    finished = warmstart("--version")
    assert finished == Finished(0, f"warmstart {_version()}\n", "")


def _version() -> str:
    return warmstart.__version__


def test_no_verb_shows_the_help_and_is_wrong_use(warmstart: Run) -> None:
    finished = warmstart()
    assert (finished.code, finished.out) == (2, "")
    assert "Commands:" in finished.err


def test_an_unknown_verb_names_the_nearest(warmstart: Run) -> None:
    warmstart("compse", "a", "b").assert_failed(2, "'compose'", "warmstart --help")


def test_an_unknown_option_is_wrong_use(warmstart: Run) -> None:
    warmstart("generate", "model", "--num-bems", 4).assert_failed(
        2, "--num-beams", "warmstart generate --help"
    )


def test_an_option_that_is_no_choice_is_wrong_use(warmstart: Run) -> None:
    finished = warmstart("compose", "a", "b", "-o", "c", "--share", "some")
    finished.assert_failed(2, "'none', 'embeddings', 'layers', 'all'")


def test_a_missing_argument_is_wrong_use(warmstart: Run) -> None:
    warmstart("generate").assert_failed(2, "MODEL")


def test_reading_nothing_of_the_output_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    finished = subprocess.run(
        [*COMMAND, "list", "metrics"], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert finished.stderr == ""
    assert finished.returncode in (0, 1)


def test_an_interrupted_command_ends_with_130(composed: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "generate", str(composed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(1)  # it is importing, loading the model or waiting for texts: all must end so
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_an_interrupt_within_a_callback_is_not_lost() -> None:
    """Python prints what a finalizer raises, and continues."""
    code = (
        "import time\n"
        "from warmstart.cli.main import _set_up_process\n"
        "class Closed:\n"
        "    def __del__(self): raise KeyboardInterrupt\n"
        "_set_up_process()\n"
        "try:\n"
        "    closed = Closed()\n"
        "    del closed\n"
        "    time.sleep(20)\n"
        "    print('lost')\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (finished.stdout, finished.stderr) == ("interrupted\n", "")


def test_other_libraries_say_nothing(composed: Path, tmp_path: Path) -> None:
    script = (
        f"{sys.executable} -c 'import sys; from warmstart.cli.main import main; sys.exit(main())'"
        f" export {composed} -o {tmp_path / 'exported'}"
    )
    finished = subprocess.run(script, shell=True, capture_output=True, text=True)
    assert finished.stdout == f"written to {tmp_path / 'exported'}\n"
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize("what", ["tasks", "families", "metrics", "variants"])
def test_list(warmstart: Run, what: str) -> None:
    finished = warmstart("list", what, "--json")
    assert finished.code == 0
    names = [entry["name"] for entry in json.loads(finished.out)]
    known = {
        "tasks": {"wikisplit", "translation", "pairs"},
        "families": {"bert", "roberta", "xlm-roberta", "camembert", "bert-generation", "gpt2"},
        "metrics": {"exact_match", "sari", "bleu", "rouge1", "rouge2", "rougeL", "rougeLsum"},
        "variants": {"rnd2rnd", "bert2bert", "bertShare", "robertaShare", "roberta2gpt", "gpt"},
    }
    assert known[what] <= set(names)
    lines = warmstart("list", what).out.splitlines()
    assert [line.split()[0] for line in lines] == names


@pytest.mark.parametrize("what", ["tasks", "metrics", "variants"])
def test_list_loads_no_torch(what: str) -> None:
    code = (
        "import sys; from warmstart.cli.main import run\n"
        f"run(['list', '{what}']); sys.exit('torch' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def test_one_process_reports_for_all(
    warmstart: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("modle: {}\n")
    alone = warmstart("train", recipe)
    assert alone.code == 2
    assert alone.err.startswith("error: ")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert warmstart("train", recipe) == alone
    monkeypatch.setenv("LOCAL_RANK", "1")
    other = warmstart("train", recipe)
    assert (other.code, other.out, other.err) == (2, "", "")
