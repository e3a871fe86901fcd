"""The `warmstart` command: its verbs, and how it ends."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Annotated

import typer

from warmstart._version import __version__
from warmstart.cli.compare import compare
from warmstart.cli.compose import compose
from warmstart.cli.data import data
from warmstart.cli.doctor import doctor
from warmstart.cli.evaluate import evaluate
from warmstart.cli.export import export
from warmstart.cli.generate import generate
from warmstart.cli.inspect import inspect
from warmstart.cli.list import list_names
from warmstart.cli.quickstart import quickstart
from warmstart.cli.scoring import ScoringCommand
from warmstart.cli.train import train
from warmstart.errors import Interrupted, WarmstartError, is_reporting_rank

__all__ = ["main", "run"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command()(compose)
app.command()(inspect)
app.command()(doctor)
app.add_typer(data, name="data")
app.command()(train)
app.command(cls=ScoringCommand)(evaluate)
app.command(cls=ScoringCommand)(compare)
app.command()(generate)
app.command("list")(list_names)
app.command()(export)
app.command()(quickstart)


def main() -> int:
    """The entry point: runs the command line of this process, and gives its exit code."""
    _set_up_process()
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # what read our output is gone; nothing is to be said to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def run(arguments: Sequence[str]) -> int:
    """Runs one command line.

    Returns:
        0 done, 1 failed, 2 wrong use, 130 interrupted, 143 terminated.
    """
    with _log_to_stderr():
        try:
            return int(app(arguments, prog_name="warmstart", standalone_mode=False) or 0)
        except Interrupted as stopped:
            if is_reporting_rank():
                typer.echo(str(stopped), err=True)
            return stopped.exit_code
        except WarmstartError as error:
            if error.on_all_ranks and not is_reporting_rank():
                return error.exit_code
            return _fail(str(error), error.exit_code)
        except typer.TyperException as error:
            return _fail(f"{_sentence(error)} See '{_help_of(arguments)}'.", error.exit_code)
        except KeyboardInterrupt:
            return 130
        except OSError as error:
            where = "" if error.filename is None else f"{error.filename}: "
            return _fail(f"{where}{error.strerror or error}.", 1)
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not loaded here
                raise
            return _fail("the GPU's memory is full; lower the batch size, or use another GPU.", 1)
        except SystemExit as ended:  # of typer, when what read our output is gone
            return ended.code if isinstance(ended.code, int) else 1


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", show_default=False)
    ] = False,
) -> None:
    """Compose two pre-trained checkpoints into a sequence-to-sequence model, train it, use it."""
    if version:
        typer.echo(f"warmstart {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def _fail(message: str, code: int) -> int:
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return code


def _sentence(error: typer.TyperException) -> str:
    text = error.format_message().replace("Value error, ", "").strip()
    return text if text.endswith((".", "?")) else f"{text}."


def _help_of(arguments: Sequence[str]) -> str:
    verb: list[str] = []
    command: object = typer.main.get_command(app)
    for argument in arguments:  # one, or two: `warmstart data fusion`
        inner = getattr(command, "commands", {})
        if argument not in inner:
            break
        verb.append(argument)
        command = inner[argument]
    return " ".join(["warmstart", *verb, "--help"])


class _StderrHandler(logging.Handler):
    """Writes to the current `sys.stderr`, which progress bars replace."""

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        on_all_ranks = record.levelno <= logging.INFO or getattr(record, "on_all_ranks", False)
        if on_all_ranks and not is_reporting_rank():
            return
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        sys.stderr.write(f"{level}{record.getMessage()}\n")


@contextmanager
def _log_to_stderr() -> Iterator[None]:
    logger = logging.getLogger("warmstart")
    handler = _StderrHandler(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _set_up_process() -> None:
    """Silences other libraries, whose say is not about what was asked, and settles the encoding."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # as all text files here, whatever the locale
