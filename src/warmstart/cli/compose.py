"""`warmstart compose`: two checkpoints, or one of the paper's variants, become a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warmstart.cli.options import (
    DecoderLayers,
    EncoderLayers,
    Json,
    Overwrite,
    TargetVocabulary,
)
from warmstart.cli.output import check_new_folder, print_json
from warmstart.composition.composition_options import (
    RANDOM,
    CrossAttentionStart,
    LmHead,
    Share,
    Size,
)
from warmstart.errors import OutputError, UsageError

if TYPE_CHECKING:
    from warmstart.seq2seq import Seq2Seq

__all__ = ["compose"]


def compose(
    encoder: Annotated[
        str | None,
        typer.Argument(
            metavar="ENCODER",
            help="Folder or hub id; random:NAME for its architecture with random weights; "
            "none for no encoder.",
            show_default=False,
        ),
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Argument(metavar="DECODER", help="Likewise, but not none.", show_default=False),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write.")],
    share: Annotated[
        Share | None,
        typer.Option(help="What the halves hold in common. Default: none."),
    ] = None,
    cross_attention: Annotated[
        CrossAttentionStart | None,
        typer.Option(help="How the new cross-attention starts. Default: random."),
    ] = None,
    lm_head: Annotated[
        LmHead | None,
        typer.Option(
            help="The decoder family's own head, or its word embedding alone. Default: checkpoint."
        ),
    ] = None,
    encoder_layers: EncoderLayers = None,
    decoder_layers: DecoderLayers = None,
    target_vocabulary: TargetVocabulary = None,
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="One of `warmstart list variants`, instead of two checkpoints. Default: none.",
        ),
    ] = None,
    bert: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The variant's BERT. Default: the paper's, by --size."),
    ] = None,
    roberta: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The variant's RoBERTa. Default: likewise."),
    ] = None,
    gpt2: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The variant's GPT-2. Default: likewise."),
    ] = None,
    size: Annotated[
        Size | None,
        typer.Option(help="Of the variant's published checkpoints. Default: base."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the random tensors.")] = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Compose two checkpoints into a sequence-to-sequence model.

    Prints where every tensor comes from: leveraged, shared, random or unused.
    """
    checkpoints = {"bert": bert, "roberta": roberta, "gpt2": gpt2}
    given = {kind: folder for kind, folder in checkpoints.items() if folder is not None}
    pair_only = {
        "--share": share,
        "--cross-attention": cross_attention,
        "--lm-head": lm_head,
        "--encoder-layers": encoder_layers,
        "--decoder-layers": decoder_layers,
        "--target-vocabulary": target_vocabulary,
    }
    if variant is None:
        variant_only = [f"--{kind}" for kind in given] + (["--size"] if size else [])
        if encoder is None or decoder is None or variant_only:
            raise UsageError(
                f"{variant_only[0]} goes with --variant NAME only; leave it out."
                if variant_only
                else "Give an ENCODER and a DECODER, or --variant NAME."
            )
    else:
        excess = ["ENCODER"] if encoder is not None else []
        excess += [option for option, value in pair_only.items() if value is not None]
        if excess:
            raise UsageError(
                f"--variant {variant} says by itself what {excess[0]} says; leave one of them out."
            )
    check_new_folder(output, overwrite=overwrite)
    _check_not_input(output, [encoder, decoder, *given.values()])
    from warmstart.seq2seq import Seq2Seq

    if variant is not None:
        model = Seq2Seq.from_variant(variant, checkpoints=given, size=size or "base", seed=seed)
    else:
        assert encoder is not None and decoder is not None
        model = Seq2Seq.warm_start(
            encoder,
            decoder,
            share=share or "none",
            cross_attention=cross_attention or "random",
            lm_head=lm_head or "checkpoint",
            encoder_layers=encoder_layers,  # type: ignore[arg-type]  # text becomes layers
            decoder_layers=decoder_layers,  # type: ignore[arg-type]
            target_vocabulary=target_vocabulary or "decoder",
            seed=seed,
        )
    model.save_pretrained(output)
    _print(model, output, as_json=as_json)


def _check_not_input(output: Path, inputs: list[str | None]) -> None:
    """Replacing the checkpoint that is being read would lose it."""
    for name in inputs:
        if name is not None and Path(name.removeprefix(RANDOM)).resolve() == output.resolve():
            raise OutputError(f"The output folder {output} is a checkpoint to read; give another.")


def _print(model: "Seq2Seq", output: Path, *, as_json: bool) -> None:
    assert model.provenance is not None
    if as_json:
        table = model.provenance.to_json()
        del table["tensors"]  # they are in the folder's provenance.json
        print_json({"folder": str(output), **table})
    else:
        typer.echo(str(model.provenance))
        typer.echo(f"written to {output}")
