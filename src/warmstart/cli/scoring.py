"""Options that `evaluate` and `compare` share: metrics, and files of finished texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from typer.core import TyperCommand

from warmstart.errors import UsageError
from warmstart.metrics.metric_options import MetricOptions
from warmstart.validation import Metavar

__all__ = ["ChosenMetrics", "ScoringCommand", "TextFiles"]

_SEVERAL: Final = "--references"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenMetrics(MetricOptions):
    """Which metrics, and with which options."""

    metric: Annotated[Sequence[str] | None, Metavar("NAME")] = None
    """One of `warmstart list metrics`, or all that can be computed: all. Repeatable. Default: the
    task's, or for finished outputs the usual ones."""
    scores: Annotated[Sequence[str], Metavar("NAME=FILE")] = ()
    """Scores of the predictions by a metric of another program, such as comet=FILE: a number a
    line, or JSON Lines with a field score. Repeatable; for compare, NAME=FILE,FILE. Default:
    none."""

    def __post_init__(self) -> None:
        MetricOptions.__post_init__(self)
        # Unknown names, before files are read.
        from warmstart.metrics.all_metrics import get_metric

        for name in self.metric or ():
            if name != "all":
                get_metric(name)

    def score_files(self, count: int) -> dict[str, list[Path]]:
        """The files of `scores`, by name.

        Args:
            count: files of each: one, or two of a comparison.

        Raises:
            UsageError: if an option is not of this form, or a name is a metric's.
        """
        from warmstart.metrics.all_metrics import METRICS

        files: dict[str, list[Path]] = {}
        for option in self.scores:
            name, _, value = option.partition("=")
            paths = [Path(path) for path in value.split(",") if path]
            if not name or len(paths) != count:
                form = ",".join(["FILE"] * count)
                raise UsageError(f"--scores is {option!r}; give NAME={form}.")
            if name in files or any(metric.name == name for metric in METRICS):
                raise UsageError(f"--scores names {name!r} twice or like a metric; rename it.")
            files[name] = paths
        return files


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
