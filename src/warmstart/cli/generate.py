"""`warmstart generate`: a text a line in, an output a line out."""

import logging
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from annotated_types import Ge

from warmstart.bulk.job import Job, JobOptions, TextFormat
from warmstart.cli.derived import Fields, derived, own_fields
from warmstart.data.compressed import without_compression
from warmstart.data.rows import FORMATS
from warmstart.decoding.request import RequestOptions
from warmstart.errors import DataError, Interrupted, OutputError, UsageError
from warmstart.generation.generation_config import GenerationConfig
from warmstart.validation import Metavar

if TYPE_CHECKING:
    from warmstart.bulk.decode import Counts

__all__ = ["generate"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunOptions:
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE")] = None
    """File to write, as outputs are finished; compressed if it ends in .gz or .zst. Default:
    standard output."""
    resume: bool = False
    """Continue what an interrupted run wrote to -o, or begin. Default: refuse a file that
    exists."""
    overwrite: bool = False
    """Replace -o if it exists. Default: refuse a file that exists."""
    processes: Annotated[int, Ge(1)] = 1
    """Processes that decode in parallel, each with its share of the processors, or a GPU."""
    ray: Annotated[str | None, Metavar("ADDRESS")] = None
    """Decode on the machines of a Ray cluster: its address, auto, or local. Default: on this
    machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _TextOptions:
    input_format: TextFormat | None = None
    """Format of the input. Default: by its name; for standard input, text."""
    output_format: TextFormat | None = None
    """Format of the output. Default: by its name, or as the input."""
    choices: Path | None = None
    """File with the outputs that are allowed, one a line. Default: any output."""


@derived(
    run=_RunOptions,
    texts=_TextOptions,
    job=Fields(JobOptions, without=("model", "input_format", "output_format")),
    request=Fields(
        RequestOptions,
        only=[
            name
            for name in own_fields(RequestOptions)
            if name not in ("config", "constraints", "choices")
        ],
    ),
    decoding=Fields(GenerationConfig, default="the model's"),
)
def generate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model folder or hub id.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Lines of text, or .jsonl; plain, gzip or zstd; read one after the other. "
            "Default: standard input.",
            show_default=False,
        ),
    ] = None,
    *,
    run: _RunOptions,
    texts: _TextOptions,
    job: Mapping[str, Any],
    request: Mapping[str, Any],
    decoding: Mapping[str, Any],
) -> None:
    """Write an output for each line of text, or each object of JSON Lines, in order.

    An empty line gives an empty line; line breaks inside an output become spaces. Decoding options
    default to those saved with the model.
    """
    files = files or []
    read = texts.input_format or _format_of_input(files)
    choices: dict[str, Any] = {}
    if texts.choices is not None:
        choices["choices"] = _read_choices(texts.choices, run.output)
    _run(
        Job(
            model=model,
            input_format=read,
            output_format=texts.output_format or _format_of_output(run.output) or read,
            **job,
            **request,
            **decoding,
            **choices,
        ),
        files,
        run,
    )


def _run(job: Job, files: Sequence[Path], run: _RunOptions) -> None:
    from warmstart.bulk.blocks import total_bytes
    from warmstart.bulk.run import generate_files
    from warmstart.cli.generation_progress import GenerationProgress

    output = run.output
    total = None if any(not file.exists() for file in files) else total_bytes(files)
    again = ""
    if output is not None and (output.is_file() or not output.exists()):
        again = f" Continue with: {_resuming()}{'' if files else ', and the same standard input'}"
    with GenerationProgress(total) as progress:
        try:
            with _terminated():
                counts = generate_files(
                    job, files, **asdict(run), on_text=progress.text, on_block=progress.block
                )
        except OutputError as error:
            if error.disk_full:
                raise OutputError(f"{error}{again}") from None
            raise
        except (KeyboardInterrupt, _Terminated) as stop:
            code = 130 if isinstance(stop, KeyboardInterrupt) else 143
            raise Interrupted(
                f"Stopped after {progress.lines} lines were written.{again}", code
            ) from None
    _warn(counts)


def _warn(counts: "Counts") -> None:
    """Of lines that were not taken as they were."""
    for number, what in (
        (counts.cut, "sources are longer than the model reads and were truncated (see --long)."),
        (counts.chunked, "sources are longer than the model reads and were decoded in chunks."),
        (counts.replaced, "lines contained invalid UTF-8 or lone surrogates, read as U+FFFD."),
    ):
        if number:
            logger.warning("%d of %d %s", number, counts.lines, what)


def _resuming() -> str:
    """The command line of this process, with --resume in place of --overwrite."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--overwrite"]
    if "--resume" not in arguments:
        arguments.append("--resume")
    return shlex.join(["warmstart", *arguments])


class _Terminated(BaseException):
    """SIGTERM, which ends a run as Ctrl-C does."""


@contextmanager
def _terminated() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _format_of_input(files: Sequence[Path]) -> TextFormat:
    """By the names of the files: text, unless they are those of JSON Lines.

    Raises:
        UsageError: they differ, or are those of tables.
    """
    formats: dict[TextFormat, Path] = {}
    for file in files:
        ending = without_compression(file).suffix.lower()
        named = FORMATS.get(ending)
        if named not in (None, "jsonl"):
            raise UsageError(
                f"{file} has columns, by its name; generate reads lines of text and JSON Lines. "
                "To take each line as a text, give --input-format text."
            )
        formats.setdefault("text" if named is None else "jsonl", file)
    if len(formats) > 1:
        raise UsageError(
            f"{formats['text']} has lines of text and {formats['jsonl']} JSON Lines, by their "
            "names; give files of one kind, or say which they are: --input-format."
        )
    return next(iter(formats), "text")


def _format_of_output(output: Path | None) -> TextFormat | None:
    """By the name of the file.

    Raises:
        UsageError: it is that of a table.
    """
    if output is None:
        return None
    named = FORMATS.get(without_compression(output).suffix.lower())
    if named not in (None, "jsonl"):
        raise UsageError(
            f"{output} has columns, by its name; generate writes lines of text and JSON Lines. "
            "Name it otherwise, or say which it is to hold: --output-format."
        )
    return None if named is None else "jsonl"


def _read_choices(file: Path, output: Path | None) -> tuple[str, ...]:
    from warmstart.data.lines import read_lines

    if not file.exists() or file.is_dir():
        raise DataError(f"there is no file {file}; check the path to the choices.")
    if output is not None and output.exists() and output.samefile(file):
        raise UsageError(f"{output} holds the choices; give the output another name.")
    choices = tuple(line for line in read_lines(file) if line.strip())
    if not choices:
        raise DataError(f"{file} holds no choices; give a line for each output that is allowed.")
    return choices
