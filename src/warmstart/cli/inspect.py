"""`warmstart inspect`: what a checkpoint, a model or a variant is, side by side with others."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warmstart.cli.options import Json
from warmstart.cli.output import print_json, print_table
from warmstart.composition.options import Size
from warmstart.errors import UsageError

if TYPE_CHECKING:
    from warmstart.inspection import Facts

__all__ = ["inspect"]


def inspect(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Folders or hub ids of checkpoints and models.",
            show_default=False,
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also one of `warmstart list variants`, from configurations alone, without "
            "weights. Repeatable. Default: none.",
        ),
    ] = None,
    size: Annotated[Size, typer.Option(help="Of the variants' checkpoints.")] = "base",
    tensors: Annotated[
        bool, typer.Option("--tensors", help="Also every tensor. Default: counts by part.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what checkpoints and models are, side by side.

    Of a checkpoint: family, sizes, special tokens, and what it can be composed as. Of a composed
    model also where its tensors come from. No tensor is read.
    """
    if not models and not variant:
        raise UsageError("Give a MODEL, or --variant NAME.")
    from warmstart.inspection import facts_of, facts_of_variant

    found = [facts_of(model) for model in models or []]
    found += [facts_of_variant(name, size) for name in variant or []]
    if as_json:
        print_json([_as_json(facts, tensors=tensors) for facts in found])
    else:
        _print(found, tensors=tensors)


def _as_json(facts: "Facts", *, tensors: bool) -> dict[str, Any]:
    value = {"name": facts.name, **facts.values}
    if facts.provenance is not None:
        value["counts"] = facts.provenance.counts()
    if tensors:
        value["tensors"] = facts.tensors
    return value


def _print(found: "Sequence[Facts]", *, tensors: bool) -> None:
    columns = [_flat(facts.values) for facts in found]
    labels = list(dict.fromkeys(label for column in columns for label in column))
    rows = [[label, *(column.get(label, "") for column in columns)] for label in labels]
    print_table(["", *(facts.name for facts in found)], rows)
    for facts in found:
        if facts.provenance is not None:
            typer.echo(f"\n{facts.name}: where its parameters began\n{facts.provenance}")
        if tensors:
            typer.echo(f"\n{facts.name}: tensors")
            print_table(
                ["name", "shape", "count", "origin", "source"],
                [_tensor_row(tensor) for tensor in facts.tensors],
            )


def _tensor_row(tensor: Mapping[str, Any]) -> list[str]:
    return [
        tensor["name"],
        str(list(tensor["shape"])),
        f"{tensor['count']:,}",
        tensor.get("origin", ""),
        tensor.get("source", ""),
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Facts within facts as lines of their own: "encoder layers"."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        label = f"{prefix}{key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{label} ")
        else:
            flat[label] = _shown(value)
    return flat


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "none" if value is None else str(value)
