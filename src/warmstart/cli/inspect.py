"""`warmstart inspect`: what a checkpoint, a model or a plan is, side by side with others."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from warmstart.cli.options import DecoderLayers, EncoderLayers, Json, TargetVocabulary
from warmstart.cli.output import print_json, print_table
from warmstart.composition.composition_options import (
    CompositionOptions,
    CrossAttentionStart,
    LmHead,
    Share,
    Size,
)
from warmstart.errors import UsageError

if TYPE_CHECKING:
    from warmstart.doctor.facts import Facts

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
    plan: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENCODER,DECODER",
            help="Also what `warmstart compose` would make of the two. Repeatable. Default: none.",
        ),
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help=f"Of the plans ({', '.join(get_args(Share))}); repeatable, a plan for each. "
            "Default: none.",
        ),
    ] = None,
    cross_attention: Annotated[
        list[str] | None,
        typer.Option(
            metavar="START",
            help=f"Of the plans ({', '.join(get_args(CrossAttentionStart))}); repeatable, a plan "
            "for each. Default: random.",
        ),
    ] = None,
    lm_head: Annotated[LmHead, typer.Option(help="Of the plans.")] = "checkpoint",
    encoder_layers: EncoderLayers = None,
    decoder_layers: DecoderLayers = None,
    target_vocabulary: TargetVocabulary = None,
    tensors: Annotated[
        bool, typer.Option("--tensors", help="Also every tensor. Default: counts by part.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what checkpoints, models and planned compositions are, side by side.

    Of a checkpoint: family, sizes, special tokens, what it can be composed as, and what it could
    share with the other checkpoints. Of a composed model or a plan also where its tensors come
    from. No tensor is read, and of a checkpoint on the hub none is fetched.
    """
    if not models and not variant and not plan:
        raise UsageError("Give a MODEL, --variant NAME, or --plan ENCODER,DECODER.")
    from warmstart.composition.blueprint import of_checkpoints
    from warmstart.doctor.facts import facts_of, facts_of_plan, facts_of_variant, with_sharing

    found = with_sharing([facts_of(model) for model in models or []])
    found += [facts_of_variant(name, size) for name in variant or []]
    choices = product(_pairs(plan), share or ["none"], cross_attention or ["random"])
    for (encoder, decoder), shared, start in choices:
        options = CompositionOptions(
            encoder,
            decoder,
            share=cast("Share", shared),  # checked by the class
            cross_attention=cast("CrossAttentionStart", start),
            lm_head=lm_head,
            encoder_layers=encoder_layers,  # type: ignore[arg-type]  # text becomes layers
            decoder_layers=decoder_layers,  # type: ignore[arg-type]
            target_vocabulary=target_vocabulary or "decoder",
        )
        blueprint = of_checkpoints(options, headers_only=True)
        found.append(facts_of_plan(f"{encoder} + {decoder} ({shared}, {start})", blueprint))
    if as_json:
        print_json([_as_json(facts, tensors=tensors) for facts in found])
    else:
        _print(found, tensors=tensors)


def _pairs(plans: Sequence[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for plan in plans or []:
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
