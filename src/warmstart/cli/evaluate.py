"""`warmstart evaluate`: a model, or finished outputs, and data to scores."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    SkipEmpty,
    decoding,
)
from warmstart.cli.output import print_json, print_scores, scores_json
from warmstart.cli.scoring import (
    BertScoreModel,
    Lowercase,
    Metrics,
    References,
    Sources,
    Stemmer,
    Tokenize,
    check_names,
)
from warmstart.data.columns import ColumnMapping
from warmstart.data.splits import SplitName
from warmstart.errors import DataError, OutputError, UsageError

if TYPE_CHECKING:
    from warmstart.data.source import DataSource
    from warmstart.metrics.metric import Metric, Score
    from warmstart.metrics.system_outputs import SystemOutputs
    from warmstart.tasks.task import Split, TaskDefinition

__all__ = ["evaluate", "parse_columns"]

logger = logging.getLogger(__name__)


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
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="A file of pairs, a folder, or hub:NAME; or parallel text files, the source's "
            "first, each with --data. Default: the task's own data on the hub.",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="One of `warmstart list tasks`: metrics, tokenization, decoding. Default: pairs.",
        ),
    ] = None,
    split: Annotated[
        SplitName,
        typer.Option(help="Which part of a folder or of the hub's data."),
    ] = "test",
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="source=A,target=B",
            help="Names of columns, or numbers from 1; target= may come several times. "
            "Default: well-known names.",
        ),
    ] = None,
    metric: Metrics = None,
    lowercase: Lowercase = None,
    tokenize: Tokenize = None,
    stemmer: Stemmer = None,
    bertscore_model: BertScoreModel = None,
    reference_text: Annotated[
        Literal["as-given", "round-trip"],
        typer.Option(help="Sources and references as they are, or as the model would write them."),
    ] = "as-given",
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Score these outputs instead of decoding: one a line, or a .jsonl as --outputs "
            "writes it. Default: decode.",
        ),
    ] = None,
    sources: Sources = None,
    references: References = None,
    outputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Keep source, output and references of each example. Default: keep none.",
        ),
    ] = None,
    per_example: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl", help="Keep the scores of each example. Default: keep none."
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Take the first N examples. Default: all."),
    ] = None,
    skip_empty: SkipEmpty = False,
    batch_size: BatchSize = 32,
    num_beams: NumBeams = None,
    max_length: MaxLength = None,
    min_length: MinLength = None,
    length_penalty: LengthPenalty = None,
    early_stopping: EarlyStopping = None,
    no_repeat_ngram_size: NoRepeatNgramSize = None,
    as_json: Json = False,
) -> None:
    """Score a model on data, or finished outputs, with confidence intervals.

    Decoding options default to the task's settings. Finished outputs need no model: give
    --predictions with --sources and --references, or with --data.
    """
    overrides = decoding(
        num_beams, max_length, min_length, length_penalty, early_stopping, no_repeat_ngram_size
    )
    round_trip = reference_text == "round-trip"
    beside = sources is not None or bool(references)
    if predictions is None:
        _check_model(model, beside=beside)
    else:
        _check_finished(
            model,
            decoding=bool(overrides) or outputs is not None,
            data=data is not None,
            beside=beside,
            columns=columns is not None,
            round_trip=round_trip,
        )
    for path in (outputs, per_example):
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise OutputError(f"{path} cannot be written: give a file in a folder that exists.")
    check_names(metric)

    from warmstart.evaluation.score import score, with_options
    from warmstart.evaluation.system_files import read_system, write_per_example
    from warmstart.tasks.all_tasks import get_task_definition

    definition = get_task_definition(task or "pairs")
    examples: Split | None = None
    if predictions is None or data is not None:
        examples = _load(definition, data, split, columns, limit, skip_empty=skip_empty)
    if predictions is None:
        assert examples is not None
        system = _to_decode(examples)
    else:
        system = read_system(predictions, sources=sources, references=references or (), limit=limit)
        if examples is not None:
            system = _on_data(system, examples, predictions)
    chosen = with_options(
        _choose(metric, system, definition if task or examples is not None else None),
        lowercase=lowercase,
        tokenize=tokenize,
        stemmer=stemmer,
        bertscore_model=bertscore_model,
    )
    if model is None or not (round_trip or predictions is None):
        scores = score(system, chosen, per_example=per_example is not None)
    else:
        assert examples is not None
        scores = _with_model(
            model,
            examples,
            chosen,
            finished=None if predictions is None else system,
            round_trip=round_trip,
            batch_size=batch_size,
            outputs=outputs,
            per_example=per_example is not None,
            overrides=overrides,
        )
    if per_example is not None:
        write_per_example(per_example, scores)
    if as_json:
        print_json(
            {
                "model": model,
                "predictions": None if predictions is None else str(predictions),
                "task": definition.name if task or examples is not None else None,
                "examples": len(system),
                "generation": None
                if predictions is not None
                else asdict(definition.generation) | overrides,
                "scores": scores_json(scores),
            }
        )
    else:
        print_scores(scores)
        typer.echo(f"{len(system)} examples")


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


def _with_model(
    name: str,
    examples: "Split",
    metrics: "Sequence[Metric]",
    *,
    finished: "SystemOutputs | None",
    round_trip: bool,
    batch_size: int,
    outputs: Path | None,
    per_example: bool,
    overrides: dict[str, Any],
) -> "dict[str, Score]":
    """Scores what a model writes, or finished outputs against what it could write."""
    from warmstart.evaluation.evaluate import evaluate as decode_and_score
    from warmstart.evaluation.evaluate import split_outputs
    from warmstart.evaluation.score import score
    from warmstart.seq2seq import Seq2Seq

    model = Seq2Seq.from_pretrained(name)
    if finished is None:
        return decode_and_score(
            model,
            examples,
            metrics=metrics,
            reference_text="round_trip" if round_trip else "as_given",
            batch_size=batch_size,
            outputs_file=outputs,
            per_example=per_example,
            **overrides,
        )
    system = split_outputs(examples, finished.outputs, rewriter=model, at_limit=finished.at_limit)
    return score(system, metrics, per_example=per_example)


def _check_model(model: str | None, *, beside: bool) -> None:
    """Refuses options that a model cannot be evaluated with."""
    if model is None:
        raise UsageError("Give a MODEL, or --predictions FILE with outputs to score.")
    if beside:
        raise UsageError(
            "--sources and --references belong to --predictions FILE; a model is evaluated on "
            "--data."
        )


def _check_finished(
    model: str | None,
    *,
    decoding: bool,
    data: bool,
    beside: bool,
    columns: bool,
    round_trip: bool,
) -> None:
    """Refuses options that finished outputs cannot be scored with."""
    if decoding:
        raise UsageError("--predictions are finished; leave out --outputs and decoding options.")
    if data and beside:
        raise UsageError(
            "--data already has sources and references; leave out --sources and --references, or "
            "--data."
        )
    if columns and not data:
        raise UsageError("--columns are those of --data, which is not given.")
    if round_trip and (model is None or not data):
        raise UsageError(
            "--reference-text round-trip needs a MODEL, whose tokenizer writes them, and --data."
        )
    if model is not None and not round_trip:
        logger.warning("%s is not used: --predictions are scored without a model.", model)


def _load(
    definition: "TaskDefinition",
    data: Sequence[str] | None,
    split: SplitName,
    columns: str | None,
    limit: int | None,
    *,
    skip_empty: bool,
) -> "Split":
    """The examples of one split: of what was given, or of the task's own data on the hub."""
    from warmstart.tasks.load import load_task

    if data:
        given: DataSource = data[0] if len(data) == 1 else list(data)
    elif definition.origin.hub is not None and split in definition.origin.hub.splits:
        hub = definition.origin.hub
        given = {"file": str(hub), "split": hub.splits[split]}
    else:
        raise UsageError(
            f"the task {definition.name} has no {split} data of its own; give --data FILE, a "
            "folder, or hub:NAME."
        )
    files: dict[str, DataSource] = {split: given}
    task = load_task(
        definition.name,
        files,
        columns=None if columns is None else parse_columns(columns),
        limits={} if limit is None else {split: limit},
        skip_empty=skip_empty,
    )
    return task.split(split)


def _to_decode(examples: "Split") -> "SystemOutputs":
    """What will be there once a model has written its outputs, to choose metrics by."""
    from warmstart.metrics.system_outputs import SystemOutputs

    nothing = [""] * len(examples)
    return SystemOutputs(
        outputs=nothing,
        references=examples.references,
        sources=examples.sources,
        at_limit=[False] * len(nothing),
    )


def _on_data(system: "SystemOutputs", examples: "Split", predictions: Path) -> "SystemOutputs":
    if len(system) != len(examples):
        raise DataError(
            f"{predictions} has {len(system)} lines, but the data {len(examples)} examples; each "
            "example needs its output, one a line."
        )
    return replace(system, sources=examples.sources, references=examples.references)


def _choose(
    names: Sequence[str] | None, system: "SystemOutputs", definition: "TaskDefinition | None"
) -> "list[Metric]":
    """The metrics that were named, or else the task's, tokenized as the task's data wants it."""
    from warmstart.evaluation.score import choose_metrics
    from warmstart.metrics.all_metrics import get_metric

    if definition is None:
        return choose_metrics(names, system)
    chosen = choose_metrics(names or definition.metrics, system)
    return [get_metric(metric.name, tokenize=definition.tokenize) for metric in chosen]
