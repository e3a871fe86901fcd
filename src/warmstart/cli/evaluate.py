"""`warmstart evaluate`: a model, or finished outputs, and data to scores."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from warmstart.cli.options import (
    BatchSize,
    EarlyStopping,
    Json,
    LengthPenalty,
    MaxLength,
    MinLength,
    NoRepeatNgramSize,
    NumBeams,
    decoding,
)
from warmstart.cli.output import print_json, print_scores, scores_json
from warmstart.data.columns import ColumnMapping
from warmstart.errors import DataError, OutputError, UsageError

__all__ = ["evaluate"]


def evaluate(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="Model folder or hub id. Not needed with --predictions.",
            show_default=False,
        ),
    ] = None,
    *,
    data: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="TSV, CSV or JSON Lines; or parallel text files, the source's first, each with "
            "--data.",
        ),
    ],
    task: Annotated[
        str,
        typer.Option(metavar="NAME", help="One of `warmstart list tasks`."),
    ] = "pairs",
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="source=A,target=B",
            help="Names of columns, or numbers from 1; target= may come several times. "
            "Default: well-known names.",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="One of `warmstart list metrics`. Repeatable. Default: the task's."
        ),
    ] = None,
    references: Annotated[
        Literal["as-given", "round-trip"],
        typer.Option(help="Sources and references as they are, or as the model would write them."),
    ] = "as-given",
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Score these outputs, one a line, instead of decoding. Default: decode.",
        ),
    ] = None,
    outputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Keep source, output and references of each example. Default: keep none.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Take the first N examples. Default: all."),
    ] = None,
    batch_size: BatchSize = 32,
    num_beams: NumBeams = None,
    max_length: MaxLength = None,
    min_length: MinLength = None,
    length_penalty: LengthPenalty = None,
    early_stopping: EarlyStopping = None,
    no_repeat_ngram_size: NoRepeatNgramSize = None,
    as_json: Json = False,
) -> None:
    """Score a model on data, with confidence intervals.

    Decoding options default to the task's settings.
    """
    overrides = decoding(
        num_beams, max_length, min_length, length_penalty, early_stopping, no_repeat_ngram_size
    )
    if model is None and (predictions is None or references == "round-trip"):
        raise UsageError(
            "Give a MODEL, or --predictions FILE with outputs to score."
            if predictions is None
            else "--references round-trip needs a MODEL, whose tokenizer writes them."
        )
    if predictions is not None and (overrides or outputs is not None):
        raise UsageError("--predictions are finished; leave out --outputs and decoding options.")
    if outputs is not None and (outputs.is_dir() or not outputs.parent.is_dir()):
        raise OutputError(f"{outputs} cannot be written: give a file in a folder that exists.")

    from warmstart.tasks.catalogue import load_task

    split = load_task(
        task,
        {"test": data[0] if len(data) == 1 else data},
        columns=None if columns is None else parse_columns(columns),
        limits=None if limit is None else {"test": limit},
        metrics=metric,
    ).split("test")
    finished = None if predictions is None else _read(predictions, len(split))

    from warmstart.evaluation import evaluate as run
    from warmstart.evaluation import score_outputs
    from warmstart.seq2seq import Seq2Seq

    loaded = None if model is None else Seq2Seq.from_pretrained(model)
    if finished is not None:
        scores = score_outputs(
            split, finished, round_trip=loaded if references == "round-trip" else None
        )
    else:
        assert loaded is not None
        scores = run(
            loaded,
            split,
            reference_text="round_trip" if references == "round-trip" else "as_given",
            batch_size=batch_size,
            outputs_file=outputs,
            **overrides,
        )
    if as_json:
        print_json(
            {
                "model": model,
                "task": task,
                "examples": len(split),
                "generation": None
                if finished is not None
                else asdict(split.generation) | overrides,
                "scores": scores_json(scores),
            }
        )
    else:
        print_scores(scores)
        typer.echo(f"{len(split)} examples")


def parse_columns(text: str) -> ColumnMapping:
    """Columns as they are written on the command line: ``source=a,target=b,target=c``.

    Raises:
        UsageError: if it is not written so.
    """
    columns: dict[str, list[str]] = {}
    for part in text.split(","):
        side, equals, name = part.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--columns {text} is not written as source=A,target=B.")
        columns.setdefault(side.strip(), []).append(name.strip())
    return {side: names[0] if len(names) == 1 else names for side, names in columns.items()}


def _read(predictions: Path, examples: int) -> list[str]:
    from warmstart.data.lines import read_lines

    outputs = list(read_lines(predictions))
    if len(outputs) != examples:
        raise DataError(
            f"{predictions} has {len(outputs)} lines, but the data {examples} examples; each "
            "example needs its output, one a line."
        )
    return outputs
