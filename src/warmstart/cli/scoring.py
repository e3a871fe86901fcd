"""What `evaluate` and `compare` have in common: options of metrics, and files of finished texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer
from typer.core import TyperCommand

__all__ = [
    "BertScoreModel",
    "Lowercase",
    "Metrics",
    "References",
    "ScoringCommand",
    "Sources",
    "Stemmer",
    "Tokenize",
    "check_names",
]

Metrics: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="One of `warmstart list metrics`, or all that can be computed: all. Repeatable. "
        "Default: the task's, or of finished outputs the usual ones.",
    ),
]
Sources: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Sources of the predictions, one a line. Default: those in a .jsonl of predictions.",
    ),
]
References: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE...",
        help="References of the predictions, one a line; several files are several references of "
        "each. Default: those in a .jsonl of predictions.",
    ),
]
Lowercase: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--lowercase/--cased",
        help="Whether metrics lower-case texts first. Default: each metric's own.",
        show_default=False,
    ),
]
Tokenize: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How metrics split texts: none (at white space), 13a, intl, char or zh. Default: the "
        "task's, or each metric's own.",
    ),
]
Stemmer: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--stemmer/--no-stemmer",
        help="Whether ROUGE compares stems. Default: it does.",
        show_default=False,
    ),
]
BertScoreModel: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="An encoder for the metric bertscore. Default: none, and no bertscore.",
    ),
]

_SEVERAL: Final = "--references"


def check_names(metrics: Sequence[str] | None) -> None:
    """Refuses the name of a metric that there is not, before files are read.

    Raises:
        UsageError: It is neither a metric nor "all".
    """
    from warmstart.metrics.all_metrics import get_metric

    for name in metrics or ():
        if name != "all":
            get_metric(name)


class ScoringCommand(TyperCommand):
    """A command whose `--references` takes all files up to the next option, as globs give them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Called by typer."""
        return super().parse_args(ctx, _repeat_option(args))


def _repeat_option(arguments: list[str]) -> list[str]:
    """``--references a b`` as ``--references a --references b``."""
    spread: list[str] = []
    values = -1  # of the option, so far; -1 outside of it
    for argument in arguments:
        if argument == _SEVERAL:
            values = 0
        elif argument.startswith("-"):
            values = -1
        elif values >= 0:
            values += 1
            if values > 1:
                spread.append(_SEVERAL)
        spread.append(argument)
    return spread
