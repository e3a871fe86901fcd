"""`warmstart data`: what a data set is like, and pairs made by rule or by a model."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warmstart.cli.options import BatchSize, Json, LengthPenalty, MaxLength, NumBeams, decoding
from warmstart.cli.output import print_json, print_table

if TYPE_CHECKING:
    from rich.status import Status

    from warmstart.discourse.write_pairs import Direction, MadePairs

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
Share = Annotated[
    float, typer.Option(metavar="SHARE", help="Of all pairs, those to keep: above 0, at most 1.")
]
MinWords = Annotated[int, typer.Option(min=1, metavar="N", help="Words of a sentence, the fewest.")]
MaxWords = Annotated[int, typer.Option(min=1, metavar="N", help="Words of a sentence, the most.")]
Seed = Annotated[
    int, typer.Option(metavar="N", help="Chooses a rule where several fire, and the share kept.")
]


@data.command()
def fusion(
    text: Text,
    output: Output,
    more: MoreText = None,
    share: Share = 1.0,
    min_words: MinWords = 6,
    max_words: MaxWords = 40,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make sentence-fusion pairs from plain English text, by discourse rules."""
    _make("fusion", [*text, *(more or [])], output, share, min_words, max_words, seed, as_json)


@data.command()
def splitting(
    text: Text,
    output: Output,
    more: MoreText = None,
    share: Share = 1.0,
    min_words: MinWords = 6,
    max_words: MaxWords = 40,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make sentence-splitting pairs from plain English text, by discourse rules."""
    _make("splitting", [*text, *(more or [])], output, share, min_words, max_words, seed, as_json)


def _make(
    direction: "Direction",
    files: list[Path],
    output: Path,
    share: float,
    min_words: int,
    max_words: int,
    seed: int,
    as_json: bool,
) -> None:
    from warmstart.discourse.write_pairs import PairSettings, write_pairs

    settings = PairSettings(
        direction=direction, share=share, min_words=min_words, max_words=max_words, seed=seed
    )
    with _status("reading") as status:
        made = write_pairs(
            files,
            output,
            settings,
            tell=lambda sentences, pairs: status.update(
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


@data.command()
def pseudo_labels(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The teacher: a folder or hub id.")],
    source: Annotated[
        str,
        typer.Option(
            "--data", metavar="DATA", help="Training data: a file, a folder, or hub:NAME."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="JSON Lines to write.")
    ],
    task: Annotated[
        str, typer.Option(metavar="NAME", help="Whose data it is, see 'warmstart list tasks'.")
    ] = "pairs",
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="source=A,target=B",
            help="Names of columns, or numbers from 1. Default: well-known names.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Examples, at most. Default: all.")
    ] = None,
    batch_size: BatchSize = 32,
    num_beams: NumBeams = None,
    max_length: MaxLength = None,
    length_penalty: LengthPenalty = None,
    as_json: Json = False,
) -> None:
    """Let a model write the targets, for a smaller one to learn (sequence-level distillation).

    The same command again goes on where it was interrupted. Train on the file as on any other.
    """
    from warmstart.cli.evaluate import parse_columns
    from warmstart.data.skipped_rows import SkippedRows
    from warmstart.tasks.all_tasks import get_task_definition
    from warmstart.tasks.reading import read_split

    overrides = decoding(num_beams, max_length, None, length_penalty, None, None)
    definition = get_task_definition(task)
    examples = read_split(
        definition,
        source,
        None if columns is None else parse_columns(columns),
        split="train",
        fraction=1,
        limit=limit,
        seed=0,
        skipped=SkippedRows(),
    )
    from warmstart.bulk.pseudo_labels import write_pseudo_labels
    from warmstart.seq2seq import Seq2Seq

    loaded = Seq2Seq.from_pretrained(model)
    with _status("decoding") as status:
        made = write_pseudo_labels(
            loaded,
            examples,
            output,
            {
                "batch_size": batch_size,
                "max_source_length": definition.max_source_length,
                **overrides,
            },
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
    tokens = {}
    if model is not None:
        from warmstart.seq2seq import Seq2Seq
        from warmstart.training.batches import tokenize_for

        loaded = Seq2Seq.from_pretrained(model, device="cpu")
        limits = (definition.max_source_length, definition.max_target_length)
        for name, examples in splits.items():
            rows = tokenize_for(loaded, examples, *limits)
            tokens[name] = (rows.source_lengths, rows.target_lengths)
    empty = {name: rows for name, (_, rows) in read.items()}
    found = report_data(splits, empty=empty, tokens=tokens)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo(str(found))
