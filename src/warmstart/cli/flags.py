"""Options that several verbs share."""

from typing import Annotated, TypeAlias

import typer

from warmstart.data.columns import ColumnMapping
from warmstart.errors import UsageError

__all__ = ["ColumnsText", "DeviceName", "Json", "Overwrite", "parse_columns"]

Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON, for machines. Default: text.")
]
Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace a model in the folder. Default: refuse to.")
]
DeviceName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="Device to compute on: cpu, cuda, cuda:1 or mps. Default: a CUDA GPU, or without one "
        "the CPU.",
    ),
]
ColumnsText: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="source=A,target=B",
        help="Names of columns, or numbers from 1; target= may be repeated. Default: well-known "
        "names.",
    ),
]


def parse_columns(text: str | None) -> ColumnMapping | None:
    """Columns as on the command line: ``source=a,target=b,target=c``.

    Raises:
        UsageError: if the text is not of this form.
    """
    if text is None:
        return None
    columns: dict[str, list[str]] = {}
    for part in text.split(","):
        side, equals, name = part.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--columns is {text!r}; give source=A,target=B.")
        columns.setdefault(side.strip(), []).append(name.strip())
    return {side: names[0] if len(names) == 1 else names for side, names in columns.items()}
