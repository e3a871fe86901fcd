"""`warmstart compose`: two checkpoints, or one of the paper's variants, become a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warmstart.cli.derived import Fields, derived
from warmstart.cli.flags import Json, Overwrite
from warmstart.cli.printing import check_new_folder, print_json
from warmstart.composition.composition_options import RANDOM, CompositionOptions, Size
from warmstart.errors import OutputError, UsageError
from warmstart.validation import Metavar

if TYPE_CHECKING:
    from warmstart.seq2seq import Seq2Seq

__all__ = ["compose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variant:
    variant: Annotated[str | None, Metavar("NAME")] = None
    """One of `warmstart list variants`, instead of two checkpoints."""
    bert: Annotated[str | None, Metavar("DIR")] = None
    """The variant's BERT. Default: the paper's, by --size."""
    roberta: Annotated[str | None, Metavar("DIR")] = None
    """The variant's RoBERTa. Default: the paper's, by --size."""
    gpt2: Annotated[str | None, Metavar("DIR")] = None
    """The variant's GPT-2. Default: the paper's, by --size."""
    size: Size | None = None
    """Size of the variant's published checkpoints. Default: base."""

    def checkpoints(self) -> dict[str, str]:
        """The checkpoints given, by kind."""
        kinds = {"bert": self.bert, "roberta": self.roberta, "gpt2": self.gpt2}
        return {kind: folder for kind, folder in kinds.items() if folder is not None}


@derived(
    options=Fields(CompositionOptions, without=("encoder", "decoder")),
    paper=_Variant,
)
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
        typer.Argument(
            metavar="DECODER", help="Folder or hub id; random:NAME.", show_default=False
        ),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write.")],
    options: Mapping[str, Any],
    paper: _Variant,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Compose two checkpoints into a sequence-to-sequence model.

    Prints where every tensor comes from: leveraged, shared, random or unused.
    """
    checkpoints = paper.checkpoints()
    if paper.variant is None:
        _check_pair(encoder, decoder, [*checkpoints, *(["size"] if paper.size else [])])
    else:
        excess = ["ENCODER"] if encoder is not None else []
        excess += [f"--{name.replace('_', '-')}" for name in options if name != "seed"]
        if excess:
            raise UsageError(
                f"--variant {paper.variant} already determines {excess[0]}; leave one of them out."
            )
    check_new_folder(output, overwrite=overwrite)
    _check_not_input(output, [encoder, decoder, *checkpoints.values()])
    from warmstart.seq2seq import Seq2Seq

    if paper.variant is None:
        assert encoder is not None and decoder is not None
        model = Seq2Seq.warm_start(encoder, decoder, **options)
    else:
        model = Seq2Seq.from_variant(
            paper.variant, checkpoints=checkpoints, size=paper.size or "base", **options
        )
    model.save_pretrained(output)
    _print(model, output, as_json=as_json)


def _check_pair(encoder: str | None, decoder: str | None, of_variants: list[str]) -> None:
    if of_variants:
        raise UsageError(f"--{of_variants[0]} goes with --variant NAME only; leave it out.")
    if encoder is None or decoder is None:
        raise UsageError("Give an ENCODER and a DECODER, or --variant NAME.")


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
    new = [part for part, row in model.provenance.counts().items() if row["random"]][:-1]
    if new:
        typer.echo(
            f"Random until the model is trained: {', '.join(new)}. Outputs mean nothing before.",
            err=True,
        )
