"""Options that several verbs have, each with its help, and what they stand for in Python."""

from typing import Annotated, Literal, TypeAlias

import typer

from warmstart.errors import UsageError
from warmstart.generation.options import GenerationOverrides

__all__ = [
    "BatchSize",
    "DecoderLayers",
    "EarlyStopping",
    "EncoderLayers",
    "Json",
    "LengthPenalty",
    "MaxLength",
    "MinLength",
    "NoRepeatNgramSize",
    "NumBeams",
    "Overwrite",
    "TargetVocabulary",
    "decoding",
    "layers",
]

Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON, for machines. Default: text.")
]
Overwrite: TypeAlias = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace a model that is in the folder. Default: refuse to."),
]
BatchSize: TypeAlias = Annotated[
    int, typer.Option(min=1, metavar="N", help="Texts decoded side by side.")
]

# Composition.
EncoderLayers: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="N|I,J,...",
        help="How many of the checkpoint's layers to take, or which, from 0. Default: all.",
    ),
]
DecoderLayers: TypeAlias = Annotated[
    str | None, typer.Option(metavar="N|I,J,...", help="Likewise. Default: all.")
]
TargetVocabulary: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="WHOSE",
        help="Of the targets: decoder, encoder, or the folder or hub id of a tokenizer. Rows of "
        "tokens that both know are kept. Default: decoder.",
    ),
]

# Decoding. The default is the model's own in `generate` and the task's in `evaluate`.
NumBeams: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="N", help="Beams; 1 is greedy. Default: the model's or task's."),
]
MaxLength: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="TOKENS", help="Longest output. Default: the model's or task's."),
]
MinLength: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="TOKENS", help="Shortest output. Default: the model's or task's."),
]
LengthPenalty: TypeAlias = Annotated[
    float | None,
    typer.Option(metavar="X", help="Above 0 favours longer beams. Default: the model's or task's."),
]
EarlyStopping: TypeAlias = Annotated[
    Literal["true", "false", "never"] | None,
    typer.Option(
        help="When a beam search may end, as in transformers. Default: the model's or task's."
    ),
]
NoRepeatNgramSize: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="No N tokens come twice; 0 is off. Default: the model's or task's."
    ),
]


def decoding(
    num_beams: int | None,
    max_length: int | None,
    min_length: int | None,
    length_penalty: float | None,
    early_stopping: Literal["true", "false", "never"] | None,
    no_repeat_ngram_size: int | None,
) -> GenerationOverrides:
    """The decoding settings that were given."""
    changes = GenerationOverrides()
    if num_beams is not None:
        changes["num_beams"] = num_beams
    if max_length is not None:
        changes["max_length"] = max_length
    if min_length is not None:
        changes["min_length"] = min_length
    if length_penalty is not None:
        changes["length_penalty"] = length_penalty
    if early_stopping is not None:
        changes["early_stopping"] = (
            "never" if early_stopping == "never" else early_stopping == "true"
        )
    if no_repeat_ngram_size is not None:
        changes["no_repeat_ngram_size"] = no_repeat_ngram_size
    return changes


def layers(given: str | None, option: str) -> int | list[int] | None:
    """A number of layers, or a list of them.

    Raises:
        UsageError: if it is neither.
    """
    if given is None:
        return None
    try:
        return [int(layer) for layer in given.split(",")] if "," in given else int(given)
    except ValueError:
        raise UsageError(
            f"{option} is '{given}'; give a number of layers (2), or layers from 0 (0,2,5)."
        ) from None
