"""`warmstart data`: reports on data sets, and pairs made by rule or by a model."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from annotated_types import Ge

from warmstart.cli.derived import Fields, derived
from warmstart.cli.flags import DeviceName, Json, parse_columns
from warmstart.cli.printing import print_json, print_table
from warmstart.decoding.request import RequestOptions
from warmstart.discourse.write_pairs import PairSettings
from warmstart.generation.generation_config import GenerationConfig
from warmstart.validation import Metavar

if TYPE_CHECKING:
    from rich.status import Status

    from warmstart.discourse.write_pairs import MadePairs

__all__ = ["data"]

data = typer.Typer(
    help="Report on data, and make pairs from plain text or by a model.",
    no_args_is_help=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

Text = Annotated[
    list[Path],
    typer.Option(
        "--text",
        metavar="FILE",
        help="Plain text, also .gz or .zst. Repeatable. Further files may follow without it.",
        show_default=False,
    ),
]
MoreText = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE]...", help="Further files of text.")
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="JSON Lines to write, also .gz.",
        show_default=False,
    ),
]
_PAIRS = Fields(PairSettings, without=("direction",))


@data.command()
@derived(settings=_PAIRS)
def fusion(
    text: Text,
    output: Output,
    more: MoreText = None,
    *,
    settings: Mapping[str, Any],
    as_json: Json = False,
) -> None:
    """Make sentence-fusion pairs from plain English text, by discourse rules."""
    pairs = PairSettings(direction="fusion", **settings)
    _make([*text, *(more or [])], output, pairs, as_json=as_json)


@data.command()
@derived(settings=_PAIRS)
def splitting(
    text: Text,
    output: Output,
    more: MoreText = None,
    *,
    settings: Mapping[str, Any],
    as_json: Json = False,
) -> None:
    """Make sentence-splitting pairs from plain English text, by discourse rules."""
    pairs = PairSettings(direction="splitting", **settings)
    _make([*text, *(more or [])], output, pairs, as_json=as_json)


def _make(files: list[Path], output: Path, settings: PairSettings, *, as_json: bool) -> None:
    from warmstart.discourse.write_pairs import write_pairs

    with _status("reading") as status:
        made = write_pairs(
            files,
            output,
            settings,
            report=lambda sentences, pairs: status.update(
                f"{sentences:,} sentences, {pairs:,} pairs"
            ),
        )
    if as_json:
        print_json(
            {
                "output": str(output),
                "files": made.files,
                "sentences": made.sentences,
                "pairs": made.pairs,
                "phenomena": made.phenomena,
                "rules": dict(made.rules),
            }
        )
    else:
        _print_made(made, output)


def _status(what: str) -> "Status":
    """A line on stderr to count in, on a terminal only."""
    from rich.console import Console

    return Console(file=sys.stderr).status(what)


def _print_made(made: "MadePairs", output: Path) -> None:
    rows = [[rule, f"{count:,}", _percent(count, made.pairs)] for rule, count in made.rules.items()]
    rows.append(["all", f"{made.pairs:,}", ""])
    print_table(["rule", "pairs", "share"], rows)
    typer.echo(f"{made.pairs:,} pairs of {made.sentences:,} sentences in {output}")


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Examples:
    source: Annotated[str, typer.Option("--data", metavar="DATA")]
    """Training data: a file, a folder, or hub:NAME."""
    task: Annotated[str, Metavar("NAME")] = "pairs"
    """Task of the data, see 'warmstart list tasks'."""
    columns: Annotated[str | None, Metavar("source=A,target=B")] = None
    """Names of columns, or numbers from 1; target= may be repeated. Default: well-known names."""
    limit: Annotated[int | None, Ge(1)] = None
    """Number of examples. Default: all."""


@data.command()
@derived(
    data=_Examples,
    request=Fields(RequestOptions, only=("batch_size",)),
    decoding=Fields(
        GenerationConfig, only=("num_beams", "max_length", "length_penalty"), default="the model's"
    ),
)
def pseudo_labels(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The teacher: a folder or hub id.")],
    *,
    data: _Examples,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="JSON Lines to write.")
    ],
    request: Mapping[str, Any],
    decoding: Mapping[str, Any],
    device: DeviceName = None,
    as_json: Json = False,
) -> None:
    """Let a model write the targets for a smaller one to learn (sequence-level distillation).

    The same command resumes where it was interrupted. Train on the file as on any other.
    """
    from warmstart.data.skipped_rows import SkippedRows
    from warmstart.tasks.all_tasks import get_task_definition
    from warmstart.tasks.reading import read_split

    definition = get_task_definition(data.task)
    examples = read_split(
        definition,
        data.source,
        parse_columns(data.columns),
        split="train",
        fraction=1,
        limit=data.limit,
        seed=0,
        skipped=SkippedRows(),
    )
    from warmstart.bulk.pseudo_labels import write_pseudo_labels
    from warmstart.seq2seq import Seq2Seq

    loaded = Seq2Seq.from_pretrained(model, device=device)
    options = {"max_source_length": definition.max_source_length, **request, **decoding}
    with _status("decoding") as status:
        made = write_pseudo_labels(
            loaded,
            examples,
            output,
            options,
            on_progress=lambda done: status.update(f"{done:,} of {len(examples):,} examples"),
        )
    if as_json:
        print_json({"output": str(output), **asdict(made)})
    else:
        typer.echo(f"{made.written:,} pairs of {made.examples:,} examples in {output}")


@data.command()
def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Training data; or one folder, with a file for each split."
        ),
    ],
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Validation data. Default: none.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Test data. Default: none.")
    ] = None,
    task: Annotated[
        str, typer.Option(metavar="NAME", help="Whose data it is, see 'warmstart list tasks'.")
    ] = "pairs",
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Count in this model's tokens, too. Default: in words alone."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Count rows, duplicates and lengths, and what evaluation data shares with training data."""
    from warmstart.data.report import report_data
    from warmstart.tasks.all_tasks import get_task_definition
    from warmstart.tasks.reading import read_splits

    definition = get_task_definition(task)
    evaluation = {"validation": validation, "test": test}
    read = read_splits(
        definition, files, {name: file for name, file in evaluation.items() if file is not None}
    )
    splits = {name: examples for name, (examples, _) in read.items()}
    tokens, round_trips = {}, {}
    if model is not None:
        from warmstart.seq2seq import Seq2Seq
        from warmstart.text.round_trip import measure_round_trip
        from warmstart.training.batches import tokenize_for

        loaded = Seq2Seq.from_pretrained(model, device="cpu")
        limits = (definition.max_source_length, definition.max_target_length)
        for name, examples in splits.items():
            rows = tokenize_for(loaded, examples, *limits)
            tokens[name] = (rows.source_lengths, rows.target_lengths)
            round_trips[name] = measure_round_trip(loaded.tokenizers, examples)
    empty = {name: rows for name, (_, rows) in read.items()}
    found = report_data(splits, empty=empty, tokens=tokens, round_trips=round_trips)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo(str(found))
