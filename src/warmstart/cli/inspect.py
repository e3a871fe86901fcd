"""`warmstart inspect`: facts about checkpoints, models and plans, side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warmstart.cli.derived import Fields, derived
from warmstart.cli.flags import Json
from warmstart.cli.printing import print_json, print_table
from warmstart.composition.composition_options import (
    CompositionOptions,
    CrossAttentionStart,
    Share,
    Size,
)
from warmstart.errors import UsageError
from warmstart.validation import Metavar

if TYPE_CHECKING:
    from warmstart.doctor.model_facts import Facts

__all__ = ["inspect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plans:
    plan: Annotated[Sequence[str], Metavar("ENCODER,DECODER")] = ()
    """Also what `warmstart compose` would make of the two. Repeatable."""
    share: Sequence[Share] = ("none",)
    """Parameters that the halves of a plan share. Repeatable, a plan for each. Default: none."""
    cross_attention: Sequence[CrossAttentionStart] = ("random",)
    """Initial cross-attention of a plan. Repeatable, a plan for each. Default: random."""

    def options(self, others: Mapping[str, Any]) -> Iterator[CompositionOptions]:
        """Of every plan."""
        choices = product(_pairs(self.plan), self.share, self.cross_attention)
        for (encoder, decoder), share, start in choices:
            yield CompositionOptions(encoder, decoder, share=share, cross_attention=start, **others)


@derived(
    plans=_Plans,
    options=Fields(
        CompositionOptions,
        only=("lm_head", "encoder_layers", "decoder_layers", "target_vocabulary"),
    ),
)
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
    size: Annotated[Size, typer.Option(help="Size of the variants' checkpoints.")] = "base",
    *,
    plans: _Plans,
    options: Mapping[str, Any],
    tensors: Annotated[
        bool, typer.Option("--tensors", help="Also every tensor. Default: counts by part.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what checkpoints, models and planned compositions are, side by side.

    For a checkpoint: family, sizes, special tokens, what it can be composed as, and what it could
    share with the other checkpoints. For a composed model or a plan also where its tensors come
    from. No tensor is read, and none of a checkpoint on the hub is fetched.
    """
    if not models and not variant and not plans.plan:
        raise UsageError("Give a MODEL, --variant NAME, or --plan ENCODER,DECODER.")
    planned = list(plans.options(options))
    from warmstart.composition.blueprint import of_checkpoints
    from warmstart.doctor.model_facts import facts_of, facts_of_plan, facts_of_variant, with_sharing

    found = with_sharing([facts_of(model) for model in models or []])
    found += [facts_of_variant(name, size) for name in variant or []]
    for plan in planned:
        name = f"{plan.encoder} + {plan.decoder} ({plan.share}, {plan.cross_attention})"
        found.append(facts_of_plan(name, of_checkpoints(plan, headers_only=True)))
    if as_json:
        print_json([_as_json(facts, tensors=tensors) for facts in found])
    else:
        _print(found, tensors=tensors)


def _pairs(plans: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for plan in plans:
        encoder, _, decoder = plan.partition(",")
        if not encoder or not decoder or "," in decoder:
            raise UsageError(
                f"--plan is '{plan}'; give two checkpoints with a comma between them: "
                "ENCODER,DECODER."
            )
        pairs.append((encoder, decoder))
    return pairs


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
