"""`warmstart export`: a model in a format for other readers."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from warmstart.cli.flags import Overwrite
from warmstart.cli.printing import check_new_folder
from warmstart.errors import CompositionError, OutputError

__all__ = ["export"]


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model folder or hub id.")],
    *,
    form: Annotated[
        Literal["transformers"],
        typer.Option("--format", help="For transformers: shared tensors are written out twice."),
    ] = "transformers",
    merge: Annotated[
        bool,
        typer.Option(
            "--merge",
            help="MODEL is an adapter written by 'training.lora': merge it into its base model. "
            "Default: it is a model.",
        ),
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Write a model for readers without weight sharing, or an adapter as a model."""
    check_new_folder(output, overwrite=overwrite)
    if Path(model).resolve() == output.resolve():
        raise OutputError(f"The output folder {output} is the model to read; give another.")
    if merge:
        from warmstart.training.lora import load_adapters

        merged, adapters = load_adapters(Path(model))
        adapters.merge()
        merged.save_pretrained(output)
        typer.echo(f"written to {output}")
        return
    from warmstart.seq2seq import Seq2Seq

    loaded = Seq2Seq.from_pretrained(model, device="cpu")
    if not loaded.composition.in_transformers():
        raise CompositionError(
            f"{model} cannot be exported: {form} has no class that computes this composition (its "
            f"language-modelling head is '{loaded.composition.lm_head}'). Compose checkpoints of "
            "families that transformers joins, without --variant and --lm-head: "
            "warmstart compose ENCODER DECODER --share all -o DIR"
        )
    loaded.save_pretrained(output, duplicate_shared=True)
    typer.echo(f"written to {output}")
