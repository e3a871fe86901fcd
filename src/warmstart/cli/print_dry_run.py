"""The output of `warmstart train --dry-run`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from warmstart.cli.printing import print_table

if TYPE_CHECKING:
    from warmstart.training.dry_run import BatchText, DryRun
    from warmstart.training.memory_estimate import Memory

__all__ = ["dry_run_json", "print_dry_run"]

_SHOWN_STEPS = 6  # of a list of steps


def dry_run_json(plan: "DryRun") -> dict[str, Any]:
    """A plan as JSON values, sizes in bytes."""
    values = asdict(plan)
    values["memory"]["total"] = plan.memory.total
    values["round_trip"] = plan.round_trip.to_json()
    return values


def print_dry_run(plan: "DryRun") -> None:
    """Prints a plan for people."""
    rows = [
        [name, f"{part.total:,}", f"{part.trained:,}", f"{part.shared:,}"]
        for name, part in plan.parts.items()
    ]
    print_table(["parameters", "total", "trained", "shared"], rows)
    typer.echo()
    print_table([f"memory, estimated ({plan.precision})", ""], _memory(plan.memory))
    typer.echo()
    print_table(["", ""], _plan(plan))
    typer.echo()
    for line in plan.round_trip.lines():
        typer.echo(line)
    typer.echo(f"\nfirst batch: {len(plan.batch)} examples")
    for text in plan.batch:
        _print_example(text)


def _memory(memory: "Memory") -> list[list[str]]:
    rows = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimizer state": memory.optimizer,
        "activations of the longest batch": memory.activations,
        "logits of one chunk": memory.logits,
        "weights of the teacher": memory.teacher,
        "this process: libraries and data": memory.process,
        "the most at once": memory.total,
    }
    return [[name, _size(size)] for name, size in rows.items() if size]


def _plan(plan: "DryRun") -> list[list[str]]:
    source, target = plan.step_tokens
    rows = [
        ["steps", f"{plan.steps:,} of {plan.step_examples:,} examples"],
        ["examples", f"{plan.examples:,}, passed over {plan.epochs:,.2f} times (epochs)"],
        ["tokens of a step", f"{source:,.0f} of sources and {target:,.0f} of targets on average"],
        ["learning rate", plan.schedule],
        ["evaluations", _steps(plan.evaluations, f", {plan.evaluation_examples} examples each")],
        ["checkpoints", _steps(plan.checkpoints, f", {_size(plan.checkpoint_bytes)} each")],
    ]
    if plan.first_step:
        rows.insert(0, ["resumes", f"after step {plan.first_step:,}"])
    return rows


def _steps(steps: tuple[int, ...], what: str) -> str:
    if not steps:
        return "none: there is no validation data"
    shown = [f"{step:,}" for step in steps]
    if len(steps) > _SHOWN_STEPS:
        shown = [*shown[: _SHOWN_STEPS - 2], "...", shown[-1]]
    return f"{len(steps):,}{what}, after step {', '.join(shown)}"


def _print_example(text: "BatchText") -> None:
    for side, shown, tokens, cut in (
        ("source", text.source, text.source_tokens, text.source_cut),
        ("target", text.target, text.target_tokens, text.target_cut),
    ):
        number = f"{text.example}:" if side == "source" else ""
        lost = f", {cut} more cut off" if cut else ""
        typer.echo(f"{number:<8}{side} ({tokens} tokens{lost}) {shown}")


def _size(size: int) -> str:
    return f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
