"""`warmstart quickstart`: the main workflow, offline, on text of this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warmstart.cli.flags import Json
from warmstart.cli.printing import print_json, scores_json

if TYPE_CHECKING:
    from warmstart.quickstart.run_quickstart import QuickstartResult

__all__ = ["quickstart"]


def quickstart(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the finished model.")
    ] = Path("warmstart-quickstart"),
    as_json: Json = False,
) -> None:
    """Compose, fine-tune and evaluate a small model, offline, in a few minutes.

    The model learns to split sentences of the documentation on this machine, from a small encoder
    in the package, and is compared with a random start and with copying the source.
    """
    from warmstart.quickstart.run_quickstart import run
    from warmstart.quickstart.summary import report

    result = run(output)
    if as_json:
        print_json(_as_json(result))
    else:
        typer.echo(report(result))


def _as_json(result: "QuickstartResult") -> dict[str, object]:
    return {
        "folder": str(result.folder),
        "seconds": result.seconds,
        "pairs": {"train": len(result.pairs.train), "held_out": len(result.pairs.held_out)},
        "systems": [
            {
                "name": system.name,
                "scores": scores_json(system.scores),
                "loss": system.loss,
                "seconds": system.seconds,
            }
            for system in result.systems
        ],
    }
