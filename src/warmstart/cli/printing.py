"""Results on stdout and in files: text for people, JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from warmstart.errors import OutputError
from warmstart.writing import atomic_file

if TYPE_CHECKING:
    from warmstart.metrics.metric import Score

__all__ = [
    "check_new_folder",
    "print_json",
    "print_scores",
    "print_table",
    "scores_json",
    "write_json",
]


def print_json(value: object) -> None:
    """Prints a value for machines."""
    typer.echo(_json(value))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints columns of text as wide as they need, on a terminal no wider than it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=any(header))
    for title in header:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 10_000  # readers of a pipe wrap lines themselves
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def print_scores(scores: "Mapping[str, Score]") -> None:
    """Prints each metric's value, its confidence interval, and what it measures."""
    rows = []
    for name, score in scores.items():
        interval = "" if score.ci is None else f"{score.ci[0]:.2f} to {score.ci[1]:.2f}"
        rows.append([name, f"{score.value:.2f}", interval, score.signature])
    print_table(["metric", "score", "95 % interval", "signature"], rows)


def scores_json(scores: "Mapping[str, Score]") -> dict[str, dict[str, object]]:
    """Scores as JSON values."""
    return {name: score.to_json() for name, score in scores.items()}


def write_json(path: Path, value: object) -> None:
    """Writes a JSON file.

    Raises:
        OutputError: if it cannot be written.
    """
    with atomic_file(path) as partial:
        partial.write_text(_json(value) + "\n", encoding="utf-8")


def check_new_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuses an output folder that is not empty. Call it before anything that takes long.

    Args:
        folder: the output folder of a model.
        overwrite: whether it may replace a model; it never replaces anything else.

    Raises:
        OutputError: if it may not be written.
    """
    from warmstart.checkpoint.files import check_replaceable

    check_replaceable(folder)
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise OutputError(
            f"The folder {folder} holds a model; give a new folder, or --overwrite to replace it."
        )


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
