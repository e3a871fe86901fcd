"""The `warmstart` command: its verbs, and how it ends."""

import errno
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from warmstart._version import __version__
from warmstart.errors import Interrupted, WarmstartError, is_reporting_rank

__all__ = ["main", "make_app", "run"]

# Modules of this package and the functions in them, or a group of verbs.
_VERBS: Mapping[str, str] = {
    "compose": "compose",
    "inspect": "inspect",
    "doctor": "doctor",
    "data": "data",
    "train": "train",
    "evaluate": "evaluate",
    "compare": "compare",
    "generate": "generate",
    "list": "list_names",
    "export": "export",
    "quickstart": "quickstart",
}
_SCORING = ("evaluate", "compare")


def make_app(verb: str | None = None) -> typer.Typer:
    """The command with one of its verbs; or, for an overview, with all of them without options.

    Importing a verb and deriving its options takes time.
    """
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback(invoke_without_command=True)(options)
    for name in _VERBS if verb is None else [verb]:
        found = getattr(import_module(f"warmstart.cli.{name}"), _VERBS[name])
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        elif verb is None:
            app.command(name, help=found.__doc__)(lambda: None)
        elif name in _SCORING:
            from warmstart.cli.scoring import ScoringCommand

            app.command(name, cls=ScoringCommand)(found)
        else:
            app.command(name)(found)
    return app


def main() -> int:
    """The entry point: runs the command line of this process and returns its exit code."""
    _set_up_process()
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        closed = error.errno == errno.EBADF
        why = "it is closed" if closed else error.strerror or str(error)
        code = code or _fail(f"Standard output cannot be written: {why}.", 1)
    return code


def run(arguments: Sequence[str]) -> int:
    """Runs one command line.

    Returns:
        0 done, 1 failed, 2 wrong use, 130 interrupted, 143 terminated.
    """
    app = make_app(next((verb for verb in arguments[:1] if verb in _VERBS), None))
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
            return _fail(f"{_sentence(error)} See '{_help_of(app, arguments)}'.", error.exit_code)
        except KeyboardInterrupt:
            return 130
        except OSError as error:
            if error.errno == errno.EBADF and error.filename is None:
                return _fail("Standard output cannot be written: it is closed.", 1)
            where = "" if error.filename is None else f"{error.filename}: "
            return _fail(f"{where}{error.strerror or error}.", 1)
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not loaded here
                raise
            return _fail(
                "The memory of the GPU is full; lower the batch size, or use another GPU.", 1
            )
        except SystemExit as ended:  # of typer, when the reader of our output is gone
            return ended.code if isinstance(ended.code, int) else 1


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


def _help_of(app: typer.Typer, arguments: Sequence[str]) -> str:
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
    """Silences other libraries, whose messages are not about the command, and sets the encoding."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    sys.unraisablehook = _interrupt_again
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # As all text files here, whatever the locale. A name of a file may hold other bytes.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _interrupt_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Raises Ctrl-C once more that came during a callback, where Python would only print it."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        import signal
        import threading

        # Not from here, where Python would print it once more.
        main_thread = threading.main_thread().ident
        threading.Timer(0.05, signal.pthread_kill, (main_thread, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(unraisable)


def _open_closed_streams() -> None:
    """Replaces closed streams.

    Else the next file that is opened would be the standard output, which libraries write to.
    """
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDWR)):
        try:
            os.fstat(number)
        except OSError:  # reading from the first and writing to the second fails as if closed
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    standard: tuple[object, object] = sys.stdout, sys.stderr  # None if closed at the start
    if standard[0] is None:
        sys.stdout = TextIOWrapper(BufferedWriter(FileIO(1, "wb", closefd=False)))
    if standard[1] is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # as long as we run
