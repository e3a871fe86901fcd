"""`warmstart generate`: a text a line in, an output a line out."""

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warmstart.cli.options import (
    BatchSize,
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
    NumBeams,
    RepetitionPenalty,
    Seed,
    Temperature,
    TopK,
    TopP,
    TypicalP,
    decoding,
)
from warmstart.errors import DataError

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["generate"]

logger = logging.getLogger(__name__)

_CHUNK_BATCHES = 32  # held in memory at once, to put texts of like length together


def generate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model folder or hub id.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Text files, plain or gzip, one after the other. Default: standard input.",
            show_default=False,
        ),
    ] = None,
    batch_size: BatchSize = 32,
    dtype: Dtype = "float32",
    num_beams: NumBeams = None,
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
) -> None:
    """Write an output for each line of text, in order.

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
    )
    for file in files or []:
        _check_file(file, "texts")
    allowed = None if choices is None else _read_choices(choices)
    from warmstart.seq2seq import Seq2Seq

    loaded = Seq2Seq.from_pretrained(model, dtype=dtype)
    read, cut = 0, 0
    with _progress() as progress:
        task = progress.add_task("generating", total=None)
        for chunk in _chunks(_texts(files), _CHUNK_BATCHES * batch_size):
            filled = [index for index, text in enumerate(chunk) if text.strip()]
            outputs = [""] * len(chunk)
            texts = [chunk[index] for index in filled]
            for place, found in loaded.generate_each(
                texts, batch_size=batch_size, prefix=prefix, choices=allowed, **overrides
            ):
                outputs[filled[place]] = " ".join(found[0].text.splitlines())
                cut += found[0].source_cut
                progress.advance(task)
            read += len(chunk)
            sys.stdout.writelines(f"{output}\n" for output in outputs)
            sys.stdout.flush()
    if cut:
        logger.warning(
            "%d of %d sources are longer than %d tokens and were cut.",
            cut,
            read,
            loaded.source_limit,
        )


def _check_file(file: Path, what: str) -> None:
    """Tells of a wrong path before the model is loaded. Reads nothing: it may be a pipe."""
    if not file.exists() or file.is_dir():
        raise DataError(f"there is no file {file}; check the path to the {what}.")


def _read_choices(file: Path) -> list[str]:
    from warmstart.data.lines import read_lines

    _check_file(file, "choices")
    return [line for line in read_lines(file) if line.strip()]


def _texts(files: Sequence[Path] | None) -> Iterator[str]:
    from warmstart.data.lines import decode_line, read_lines

    for file in files or []:
        if not file.is_file() or file.stat().st_size:  # of an empty file come no texts
            yield from read_lines(file)
    if not files:
        name = Path("standard input")
        for number, raw in enumerate(sys.stdin.buffer, start=1):
            text = decode_line(raw, name, number)
            yield text.removeprefix("\ufeff") if number == 1 else text


def _chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(texts)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _progress() -> "Progress":
    """A counter on stderr; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        redirect_stdout=False,
    )
