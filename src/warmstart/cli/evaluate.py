"""`warmstart evaluate`: a model, or finished outputs, and data to scores."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from annotated_types import Ge

from warmstart.cli.derived import Fields, derived
from warmstart.cli.flags import Json, parse_columns
from warmstart.cli.printing import print_json, print_scores, scores_json
from warmstart.cli.scoring import ChosenMetrics, TextFiles
from warmstart.data.splits import SplitName
from warmstart.decoding.request import RequestOptions
from warmstart.errors import DataError, OutputError, UsageError
from warmstart.generation.generation_config import GenerationConfig
from warmstart.model.loading_types import Device
from warmstart.validation import Metavar

if TYPE_CHECKING:
    from warmstart.data.source import DataSource
    from warmstart.evaluation.evaluation_options import ReferenceText
    from warmstart.metrics.metric import Metric, Score
    from warmstart.metrics.system_outputs import SystemOutputs
    from warmstart.tasks.task import Split, TaskDefinition

__all__ = ["evaluate"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Examples:
    data: Annotated[Sequence[str], Metavar("FILE")] = ()
    """A file of pairs, a folder, or hub:NAME; or parallel text files, the source's first, each with
    --data. Default: the task's own data on the hub."""
    task: Annotated[str | None, Metavar("NAME")] = None
    """One of `warmstart list tasks`: metrics, tokenization, decoding. Default: pairs."""
    split: SplitName = "test"
    """Split of a folder or of data on the hub."""
    columns: Annotated[str | None, Metavar("source=A,target=B")] = None
    """Names of columns, or numbers from 1; target= may be repeated. Default: well-known names."""
    limit: Annotated[int | None, Ge(1)] = None
    """Take the first N examples. Default: all."""
    skip_empty: bool = False
    """Skip and count rows with an empty text. Default: an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outputs:
    predictions: Path | None = None
    """Score these outputs instead of decoding: one a line, or a .jsonl written by --outputs.
    Default: decode."""
    outputs: Annotated[Path | None, Metavar("FILE.jsonl")] = None
    """Keep source, output and references of each example. Default: keep none."""
    per_example: Annotated[Path | None, Metavar("FILE.jsonl")] = None
    """Keep the scores of each example. Default: keep none."""
    device: Device = None
    """Device to decode on: cpu, cuda, cuda:1 or mps. Default: a CUDA GPU, or without one the
    CPU."""
    reference_text: Literal["as-given", "round-trip"] = "as-given"
    """Sources and references as they are, or as the model would write them."""

    def __post_init__(self) -> None:
        for path in (self.outputs, self.per_example):
            if path is not None and (path.is_dir() or not path.parent.is_dir()):
                raise OutputError(f"{path} cannot be written: give a file in a folder that exists.")

    @property
    def round_trip(self) -> bool:
        """Whether references are as the model would write them."""
        return self.reference_text == "round-trip"


@derived(
    examples=_Examples,
    metrics=ChosenMetrics,
    texts=TextFiles,
    files=_Outputs,
    options=Fields(RequestOptions, only=("batch_size",)),
    decoding=Fields(GenerationConfig, without=("num_return_sequences",), default="the task's"),
)
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
    examples: _Examples,
    metrics: ChosenMetrics,
    texts: TextFiles,
    files: _Outputs,
    options: Mapping[str, Any],
    decoding: Mapping[str, Any],
    as_json: Json = False,
) -> None:
    """Score a model on data, or finished outputs, with confidence intervals.

    Decoding options default to the task's settings. Finished outputs need no model: give
    --predictions with --sources and --references, or with --data.
    """
    if files.predictions is None:
        _check_model(model, texts, metrics.scores)
    else:
        _check_finished(model, examples, texts, files, decoding=bool(decoding))

    from warmstart.evaluation.score import score
    from warmstart.evaluation.system_files import read_scores, read_system, write_per_example
    from warmstart.metrics.given_scores import GivenScores
    from warmstart.tasks.all_tasks import get_task_definition

    definition = get_task_definition(examples.task or "pairs")
    split: Split | None = None
    if files.predictions is None or examples.data:
        split = _load(definition, examples)
    system: SystemOutputs | None = None
    if files.predictions is not None:
        system = read_system(
            files.predictions,
            sources=texts.sources,
            references=texts.references,
            limit=examples.limit,
        )
        if split is not None:
            system = _on_data(system, split, files.predictions)
        scored = {
            name: read_scores(path, examples.limit)
            for name, (path,) in metrics.score_files(1).items()
        }
        system = replace(system, scores=scored)
    known = definition if examples.task or split is not None else None
    chosen = metrics.apply(_choose(metrics.metric, system, known))
    chosen += [GivenScores(name=name) for name in system.scores] if system is not None else []
    compared: str | None = None
    if system is not None and not files.round_trip:
        scores = score(system, chosen, per_example=files.per_example is not None)
    else:
        assert split is not None and model is not None
        changed = {**options, **decoding}
        scores, compared = _with_model(
            model, split, chosen, files, finished=system, changed=changed
        )
    if files.per_example is not None:
        write_per_example(files.per_example, scores)
    count = len(system if system is not None else split or ())
    if not as_json:
        if compared is not None:
            typer.echo(f"texts: {compared}")
        print_scores(scores)
        typer.echo(f"{count} examples")
        return
    print_json(
        {
            "model": model,
            "predictions": None if files.predictions is None else str(files.predictions),
            "task": None if known is None else known.name,
            "examples": count,
            "generation": (
                {**asdict(definition.generation), **decoding} if files.predictions is None else None
            ),
            "texts": compared,
            "scores": scores_json(scores),
        }
    )


def _with_model(
    name: str,
    split: "Split",
    metrics: "Sequence[Metric]",
    files: _Outputs,
    *,
    finished: "SystemOutputs | None",
    changed: Mapping[str, Any],
) -> "tuple[dict[str, Score], str | None]":
    """Scores the outputs of a model, or finished outputs against references as it writes them.

    Returns:
        The scores, and the texts that are compared, in words.
    """
    from warmstart.evaluation.evaluate import describe_texts, split_outputs
    from warmstart.evaluation.evaluate import evaluate as decode_and_score
    from warmstart.evaluation.score import score
    from warmstart.seq2seq import Seq2Seq

    model = Seq2Seq.from_pretrained(name, device=files.device)
    per_example = files.per_example is not None
    if finished is not None:
        system = split_outputs(split, finished.outputs, rewriter=model, at_limit=finished.at_limit)
        scores = score(system, metrics, per_example=per_example)
        return scores, "sources and references as the target tokenizer decodes them"
    reference_text: ReferenceText = "round_trip" if files.round_trip else "as_given"
    scores = decode_and_score(
        model,
        split,
        metrics=metrics,
        reference_text=reference_text,
        outputs_file=files.outputs,
        per_example=per_example,
        **changed,
    )
    return scores, describe_texts(model, split, changed, reference_text)


def _check_model(model: str | None, texts: TextFiles, scores: Sequence[str]) -> None:
    """Refuses options that do not go with a model."""
    if model is None:
        raise UsageError("Give a MODEL, or --predictions FILE with outputs to score.")
    if texts.sources is not None or texts.references or scores:
        raise UsageError(
            "--sources, --references and --scores belong to --predictions FILE; a model is "
            "evaluated on --data."
        )


def _check_finished(
    model: str | None, examples: _Examples, texts: TextFiles, files: _Outputs, *, decoding: bool
) -> None:
    """Refuses options that do not go with finished outputs."""
    if decoding or files.outputs is not None:
        raise UsageError("--predictions are finished; leave out --outputs and decoding options.")
    if examples.data and (texts.sources is not None or texts.references):
        raise UsageError(
            "--data already has sources and references; leave out --sources and --references, or "
            "--data."
        )
    if examples.columns is not None and not examples.data:
        raise UsageError("--columns are those of --data, which is not given.")
    if files.round_trip and (model is None or not examples.data):
        raise UsageError(
            "--reference-text round-trip needs a MODEL, whose tokenizer writes them, and --data."
        )
    if model is not None and not files.round_trip:
        logger.warning("%s is not used: --predictions are scored without a model.", model)


def _load(definition: "TaskDefinition", examples: _Examples) -> "Split":
    """The examples of one split: of the given data, or of the task's own on the hub."""
    from warmstart.tasks.load import load_task

    split = examples.split
    if examples.data:
        data: DataSource = examples.data[0] if len(examples.data) == 1 else list(examples.data)
    elif definition.origin.hub is not None and split in definition.origin.hub.splits:
        hub = definition.origin.hub
        data = {"file": str(hub), "split": hub.splits[split]}
    else:
        raise UsageError(
            f"The task {definition.name} has no {split} data of its own; give --data FILE, a "
            "folder, or hub:NAME."
        )
    files: dict[str, DataSource] = {split: data}
    task = load_task(
        definition.name,
        files,
        columns=parse_columns(examples.columns),
        limits={} if examples.limit is None else {split: examples.limit},
        skip_empty=examples.skip_empty,
    )
    return task.split(split)


def _on_data(system: "SystemOutputs", examples: "Split", predictions: Path) -> "SystemOutputs":
    if len(system) != len(examples):
        raise DataError(
            f"{predictions} has {len(system)} lines, but the data {len(examples)} examples; each "
            "example needs its output, one a line."
        )
    return replace(system, sources=examples.sources, references=examples.references)


def _choose(
    names: Sequence[str] | None, system: "SystemOutputs | None", definition: "TaskDefinition | None"
) -> "list[Metric]":
    """The metrics of the names, or else the task's, with the tokenization of the task's data."""
    from warmstart.evaluation.score import choose_metrics
    from warmstart.metrics.all_metrics import get_metric

    if definition is None:
        return choose_metrics(names, system)
    chosen = choose_metrics(names or definition.metrics, system)
    return [get_metric(metric.name, tokenize=definition.tokenize) for metric in chosen]
