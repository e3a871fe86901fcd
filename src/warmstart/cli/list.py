"""`warmstart list`: names for recipes and options."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from warmstart.cli.flags import Json
from warmstart.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from warmstart.tasks.task import TaskDefinition

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
            _list_tasks(as_json)
            return
        case "families":
            names = _families()
        case "metrics":
            _list_metrics(as_json)
            return
        case "variants":
            names = _variants()
    if as_json:
        print_json([{"name": name, "description": text} for name, text in names])
    else:
        print_table(["", ""], names)


def _list_tasks(as_json: bool) -> None:
    from warmstart.tasks.all_tasks import TASKS

    if as_json:
        print_json([_task_json(task) for task in TASKS])
        return
    rows = [
        (
            task.name,
            "" if task.origin.hub is None else str(task.origin.hub),
            f"{task.description}; measures {', '.join(task.metrics)}"
            + (f"; figures of {len(task.published)} systems (--json)" if task.published else ""),
        )
        for task in TASKS
    ]
    print_table(["", "", ""], rows)


def _task_json(task: "TaskDefinition") -> dict[str, object]:
    hub = task.origin.hub
    variants = [task.variant(name) for name in task.variants] if task.variant is not None else []
    return {
        "name": task.name,
        "description": task.description,
        "hub": None if hub is None else hub.name,
        "config": None if hub is None else hub.config,
        "splits": None if hub is None else dict(hub.splits),
        "takes": list(task.origin.kinds),
        "metrics": list(task.metrics),
        "max_source_length": task.max_source_length,
        "max_target_length": task.max_target_length,
        "generation": asdict(task.generation),
        "published": {name: dict(figures) for name, figures in task.published.items()},
        "variants": [_task_json(variant) for variant in variants],
    }


def _families() -> list[tuple[str, str]]:
    # Loads torch: its rename tables move tensors.
    from warmstart.families.catalogue import FAMILIES, SEQ2SEQ_FAMILIES

    composed = [(family.name, family.description) for family in FAMILIES]
    return composed + [(family.name, family.description) for family in SEQ2SEQ_FAMILIES]


def _list_metrics(as_json: bool) -> None:
    from warmstart.metrics.all_metrics import METRICS

    if not as_json:
        rows = [(metric.name, metric.description, metric.source) for metric in METRICS]
        print_table(["", "", ""], rows)
        return
    print_json(
        [
            {
                "name": metric.name,
                "description": metric.description,
                "source": metric.source,
                "needs": list(metric.needs),
                "better": metric.better,
            }
            for metric in METRICS
        ]
    )


def _variants() -> list[tuple[str, str]]:
    from warmstart.composition.variants import VARIANTS

    return [(variant.name, variant.description) for variant in VARIANTS]
