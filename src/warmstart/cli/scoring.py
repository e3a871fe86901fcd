"""Options that `evaluate` and `compare` share: metrics, and files of finished texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from warmstart.validation import Metavar

if TYPE_CHECKING:
    from warmstart.metrics.metric import Metric

__all__ = ["MetricOptions", "ScoringCommand", "TextFiles"]

_SEVERAL: Final = "--references"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricOptions:
    """Which metrics, and with which options."""

    metric: Annotated[Sequence[str] | None, Metavar("NAME")] = None
    """One of `warmstart list metrics`, or all that can be computed: all. Repeatable. Default: the
    task's, or for finished outputs the usual ones."""
    lowercase: Annotated[bool | None, typer.Option("--lowercase/--cased")] = None
    """Whether metrics lower-case texts first. Default: each metric's own."""
    tokenize: Annotated[str | None, Metavar("NAME")] = None
    """How metrics split texts: none (at white space), 13a, intl, char or zh. Default: the task's,
    or each metric's own."""
    stemmer: bool | None = None
    """Whether ROUGE compares stems. Default: it does."""
    bertscore_model: Annotated[str | None, Metavar("FOLDER")] = None
    """An encoder for the metric bertscore. Default: none, and no bertscore."""

    def __post_init__(self) -> None:
        # Unknown names, before files are read.
        from warmstart.metrics.all_metrics import get_metric

        for name in self.metric or ():
            if name != "all":
                get_metric(name)

    def applied(self, metrics: "Sequence[Metric]") -> "list[Metric]":
        """The metrics with these options."""
        from warmstart.evaluation.score import with_options

        return with_options(
            metrics,
            lowercase=self.lowercase,
            tokenize=self.tokenize,
            stemmer=self.stemmer,
            bertscore_model=self.bertscore_model,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFiles:
    """Files of finished texts."""

    sources: Path | None = None
    """Sources of the predictions, one a line. Default: those in a .jsonl of predictions."""
    references: Annotated[Sequence[Path], Metavar("FILE...")] = ()
    """References of the predictions, one a line; several files are several references of each.
    Default: those in a .jsonl of predictions."""


class ScoringCommand(TyperCommand):
    """A command whose `--references` takes all files up to the next option, as of a glob."""

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
