"""`warmstart list`: the names that recipes and options take."""

from typing import Annotated, Literal

import typer

from warmstart.cli.options import Json
from warmstart.cli.output import print_json, print_table

__all__ = ["list_names"]


def list_names(
    what: Annotated[
        Literal["tasks", "families", "metrics", "variants"],
        typer.Argument(metavar="WHAT", help="tasks, families, metrics or variants."),
    ],
    as_json: Json = False,
) -> None:
    """List tasks, families, metrics or variants."""
    match what:
        case "tasks":
            names = _tasks()
        case "families":
            names = _families()
        case "metrics":
            names = _metrics()
        case "variants":
            names = _variants()
    if as_json:
        print_json([{"name": name, "description": text} for name, text in names])
    else:
        print_table(["", ""], names)


def _tasks() -> list[tuple[str, str]]:
    from warmstart.tasks.catalogue import TASKS

    return [
        (task.name, f"{task.description}; measures {', '.join(task.metrics)}") for task in TASKS
    ]


def _families() -> list[tuple[str, str]]:
    from warmstart.families.catalogue import FAMILIES  # loads torch: its rename tables move tensors

    return [(family.name, family.description) for family in FAMILIES]


def _metrics() -> list[tuple[str, str]]:
    from warmstart.metrics.catalogue import METRICS

    return [(metric.name, metric.description) for metric in METRICS]


def _variants() -> list[tuple[str, str]]:
    from warmstart.composition.variants import VARIANTS

    return [(variant.name, variant.description) for variant in VARIANTS]
