"""`warmstart doctor`: the problems of a model, why they matter, and how to solve them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from warmstart.cli.flags import ColumnsText, DeviceName, Json, parse_columns
from warmstart.cli.printing import print_json
from warmstart.errors import UsageError

if TYPE_CHECKING:
    from warmstart.doctor.finding import Finding, Status

__all__ = ["doctor"]

_STATUSES: Final[tuple["Status", ...]] = ("ok", "warning", "problem", "skipped")


def doctor(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Model folder or hub id; of a checkpoint that is not composed, only what it "
            "has is examined.",
            show_default=False,
        ),
    ],
    *,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Pairs of the model's task, to examine whether it reads its source: TSV, CSV or "
            "JSON Lines; or parallel text files, the source's first, each with --data. Default: "
            "some plain English sentences.",
        ),
    ] = None,
    columns: ColumnsText = None,
    limit: Annotated[
        int, typer.Option(min=3, metavar="N", help="Take the first N pairs of the data.")
    ] = 100,
    skip_empty: Annotated[
        bool,
        typer.Option(
            "--skip-empty", help="Skip and count rows with an empty text. Default: an error."
        ),
    ] = False,
    device: DeviceName = None,
    as_json: Json = False,
) -> None:
    """Examine a model: tokens, limits, tensors, use of the source, saving and loading.

    A finding reports a fact, and for a problem why it matters and how to solve it. The exit status
    is 1 if there is a problem; with warnings alone it is 0.
    """
    if columns is not None and data is None:
        raise UsageError("--columns are those of --data FILE; give both or neither.")
    pairs = None if data is None else _read(data, columns, limit, skip_empty=skip_empty)

    from warmstart.doctor.examine import examine

    findings = examine(model, pairs, device=device)
    if as_json:
        print_json({"model": model, "findings": [finding.to_json() for finding in findings]})
    else:
        _print(findings)
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)


def _read(
    data: list[Path], columns: str | None, limit: int, *, skip_empty: bool
) -> list[tuple[str, str]]:
    from warmstart.tasks.load import load_task

    split = load_task(
        "pairs",
        {"test": data[0] if len(data) == 1 else data},
        columns=parse_columns(columns),
        limits={"test": limit},
        skip_empty=skip_empty,
    ).split("test")
    return [(example.source, example.target) for example in split.examples]


def _print(findings: "Sequence[Finding]") -> None:
    width = max(len(status) for status in _STATUSES)
    for finding in findings:
        typer.echo(f"{finding.status:<{width}}  {finding.check}: {finding.what}")
        if finding.status in ("warning", "problem"):
            typer.echo(f"{'':<{width}}  Why it matters: {finding.why}")
            typer.echo(f"{'':<{width}}  What to do: {finding.remedy}")
    counts = Counter(finding.status for finding in findings)
    summary = ", ".join(f"{counts[status]} {status}" for status in _STATUSES if counts[status])
    typer.echo(f"\n{len(findings)} checks: {summary}")
