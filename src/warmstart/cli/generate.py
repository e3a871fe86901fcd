"""`warmstart generate`: a text a line in, an output a line out."""

import logging
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from warmstart.bulk.job import Job, TextErrors, TextFormat
from warmstart.cli.options import (
    BatchSize,
    Compile,
    DiversityPenalty,
    DoSample,
    Draft,
    DraftLength,
    Dtype,
    EarlyStopping,
    EncoderNoRepeatNgramSize,
    LengthPenalty,
    MaxLength,
    MinLength,
    MinP,
    NoRepeatNgramSize,
    NumBeamGroups,
    NumBeams,
    RepetitionPenalty,
    Seed,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    decoding,
)
from warmstart.data.compressed import without_compression
from warmstart.data.rows import FORMATS
from warmstart.errors import DataError, Interrupted, OutputError, UsageError
from warmstart.text.long_sources import Long

if TYPE_CHECKING:
    from warmstart.bulk.decode import Counts

__all__ = ["generate"]

logger = logging.getLogger(__name__)


def generate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model folder or hub id.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Lines of text, or .jsonl; plain, gzip or zstd; one after the other. "
            "Default: standard input.",
            show_default=False,
        ),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write, as it goes; packed if it ends in .gz or .zst. "
            "Default: standard output.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with what an interrupted run wrote to -o; begin if there was none. "
            "Default: refuse a file that exists.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace -o if it exists. Default: refuse a file that exists."
        ),
    ] = False,
    input_format: Annotated[
        TextFormat | None,
        typer.Option(help="Of the input. Default: by its name; of standard input, text."),
    ] = None,
    output_format: Annotated[
        TextFormat | None,
        typer.Option(help="Of the output. Default: by its name, or as the input."),
    ] = None,
    source_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="JSON Lines: the field that holds the source; a.b and a + b as in evaluate's "
            "columns. Default: a well-known name.",
        ),
    ] = None,
    output_column: Annotated[
        str, typer.Option(metavar="NAME", help="JSON Lines: the field that is added.")
    ] = "output",
    scores: Annotated[
        bool, typer.Option("--scores", help="JSON Lines: add each output's score. Default: none.")
    ] = False,
    alignments: Annotated[
        Literal["mean", "last"] | None,
        typer.Option(
            help="JSON Lines: add the source word that each token looked at most, by the mean of "
            "all layers or the last. Default: none."
        ),
    ] = None,
    errors: Annotated[
        TextErrors,
        typer.Option(
            help="Bytes that are no UTF-8, and half characters in JSON: end with file and line, or "
            "read them as U+FFFD and count the lines."
        ),
    ] = "strict",
    long: Annotated[
        Long,
        typer.Option(
            help="Sources that are longer than the model reads: cut them and count, decode them in "
            "pieces and join the outputs, or end with file and line."
        ),
    ] = "truncate",
    chunk_overlap: Annotated[
        int,
        typer.Option(
            metavar="TOKENS",
            help="With --long chunk: a piece's last sentences that the next begins with, at most.",
        ),
    ] = 0,
    max_source_length: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="TOKENS", help="Longest source. Default: what the positions allow."
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="That decode side by side, each with its share of the processors, or a GPU.",
        ),
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Decode on the machines of a Ray cluster: its address, auto, or local. "
            "Default: on this machine.",
        ),
    ] = None,
    batch_size: BatchSize = 32,
    dtype: Dtype = "float32",
    compile: Compile = "no",
    num_beams: NumBeams = None,
    num_beam_groups: NumBeamGroups = None,
    diversity_penalty: DiversityPenalty = None,
    num_return_sequences: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="JSON Lines: outputs of each text, in a list. Default: the model's."
        ),
    ] = None,
    max_length: MaxLength = None,
    min_length: MinLength = None,
    length_penalty: LengthPenalty = None,
    early_stopping: EarlyStopping = None,
    no_repeat_ngram_size: NoRepeatNgramSize = None,
    encoder_no_repeat_ngram_size: EncoderNoRepeatNgramSize = None,
    repetition_penalty: RepetitionPenalty = None,
    do_sample: DoSample = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    typical_p: TypicalP = None,
    seed: Seed = None,
    draft: Draft = None,
    draft_length: DraftLength = None,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What each output begins with. Default: nothing."),
    ] = None,
    choices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The outputs that are allowed, a line each. Default: any."
        ),
    ] = None,
    regex: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="What each output matches as a whole: a regular expression of Python's, without "
            "look-arounds and back-references. Default: any.",
        ),
    ] = None,
) -> None:
    """Write an output for each line of text, or each object of JSON Lines, in order.

    An empty line gives an empty line; line breaks inside an output become spaces. Decoding options
    default to what was saved with the model.
    """
    overrides = decoding(
        num_beams,
        max_length,
        min_length,
        length_penalty,
        early_stopping,
        no_repeat_ngram_size,
        num_beam_groups=num_beam_groups,
        diversity_penalty=diversity_penalty,
        encoder_no_repeat_ngram_size=encoder_no_repeat_ngram_size,
        repetition_penalty=repetition_penalty,
        do_sample=do_sample,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        typical_p=typical_p,
        seed=seed,
        draft=draft,
        draft_length=draft_length,
        num_return_sequences=num_return_sequences,
    )
    files = files or []
    read = input_format or _format_of_input(files)
    job = Job(
        model=model,
        dtype=dtype,
        compile=compile,
        batch_size=batch_size,
        max_source_length=max_source_length,
        long=long,
        chunk_overlap=chunk_overlap,
        prefix=prefix,
        choices=None if choices is None else _read_choices(choices, output),
        regex=regex,
        **overrides,
        input_format=read,
        output_format=output_format or _format_of_output(output) or read,
        source_column=source_column,
        output_column=output_column,
        scores=scores,
        alignments=alignments,
        errors=errors,
    )
    _run(job, files, output, resume=resume, overwrite=overwrite, processes=processes, ray=ray)


def _run(
    job: Job,
    files: Sequence[Path],
    output: Path | None,
    *,
    resume: bool,
    overwrite: bool,
    processes: int,
    ray: str | None,
) -> None:
    from warmstart.bulk.blocks import total_bytes
    from warmstart.bulk.run import generate_files
    from warmstart.cli.generation_progress import GenerationProgress

    total = None if any(not file.exists() for file in files) else total_bytes(files)
    again = ""
    if output is not None and (output.is_file() or not output.exists()):
        again = f" Go on with: {_resuming()}{'' if files else ', and the same standard input'}"
    with GenerationProgress(total) as progress:
        try:
            with _terminated():
                counts = generate_files(
                    job,
                    files,
                    output=output,
                    resume=resume,
                    overwrite=overwrite,
                    processes=processes,
                    ray=ray,
                    on_text=progress.text,
                    on_block=progress.block,
                )
        except OutputError as error:
            if "the disk is full" in str(error):
                raise OutputError(f"{error}{again}") from None
            raise
        except (KeyboardInterrupt, _Terminated) as stop:
            code = 130 if isinstance(stop, KeyboardInterrupt) else 143
            told = f"Stopped after {progress.lines} lines were written.{again}"
            raise Interrupted(told, code) from None
    _tell(counts)


def _tell(counts: "Counts") -> None:
    """What became of lines that were not taken as they were."""
    for number, what in (
        (counts.cut, "sources are longer than the model reads and were cut (see --long)."),
        (counts.chunked, "sources are longer than the model reads and were decoded in pieces."),
        (counts.replaced, "lines have what is no text, for which U+FFFD was read."),
    ):
        if number:
            logger.warning("%d of %d %s", number, counts.lines, what)


def _resuming() -> str:
    """The command line of this process, with --resume in the place of --overwrite."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--overwrite"]
    if "--resume" not in arguments:
        arguments.append("--resume")
    return shlex.join(["warmstart", *arguments])


class _Terminated(BaseException):
    """SIGTERM, which ends a run as Ctrl-C does: in order."""


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
