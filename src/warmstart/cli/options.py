"""Options that several verbs have, each with its help, and what they stand for in Python."""

from typing import Annotated, Any, Literal, TypeAlias

import typer

from warmstart.errors import UsageError

__all__ = [
    "BatchSize",
    "Compile",
    "DecoderLayers",
    "DoSample",
    "Draft",
    "DraftLength",
    "Dtype",
    "EarlyStopping",
    "EncoderLayers",
    "EncoderNoRepeatNgramSize",
    "Json",
    "LengthPenalty",
    "MaxLength",
    "MinLength",
    "MinP",
    "NoRepeatNgramSize",
    "NumBeams",
    "Overwrite",
    "RepetitionPenalty",
    "Seed",
    "SkipEmpty",
    "TargetVocabulary",
    "Temperature",
    "TopK",
    "TopP",
    "TypicalP",
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
Dtype: TypeAlias = Annotated[
    Literal["float32", "bfloat16", "float16", "int8", "float8"],
    typer.Option(help="Weights: fewer bits take less memory, and mostly less time."),
]

Compile: TypeAlias = Annotated[
    Literal["no", "background", "wait"],
    typer.Option(
        help="Compile the steps of decoding: meanwhile decode as without, or wait for it. On a GPU "
        "either records them as a CUDA graph."
    ),
]

SkipEmpty: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--skip-empty", help="Leave out and count rows with an empty text. Default: an error."
    ),
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
NumBeamGroups: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Groups of beams, kept apart by the penalty. Default: the model's."
    ),
]
DiversityPenalty: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Taken off a token's score for each beam of the groups before that wrote it. "
        "Default: the model's.",
    ),
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
EncoderNoRepeatNgramSize: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="No N tokens of the source are written; 0 is off. Default: the model's."
    ),
]
RepetitionPenalty: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="Above 1 makes tokens that are written less likely; 1 is off. Default: the model's.",
    ),
]
DoSample: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--do-sample/--no-do-sample",
        help="Draw tokens by their probability. Default: the model's.",
        show_default=False,
    ),
]
Temperature: TypeAlias = Annotated[
    float | None,
    typer.Option(metavar="X", help="Sampling: logits are divided by it. Default: the model's."),
]
TopK: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="K", help="Sampling: from the K likeliest; 0 is all. Default: the model's."
    ),
]
TopP: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="P",
        help="Sampling: from the likeliest that hold this probability. Default: the model's.",
    ),
]
MinP: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="P",
        help="Sampling: from those with this share of the likeliest's. Default: the model's.",
    ),
]
TypicalP: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="P",
        help="Sampling: from the most typical that hold this probability. Default: the model's.",
    ),
]
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="N", help="Sampling: another gives other samples. Default: the model's."),
]

Draft: TypeAlias = Annotated[
    Literal["none", "source", "auto"] | None,
    typer.Option(
        help="Guess what follows from the source, with the same output in fewer steps. Default: "
        "the model's."
    ),
]
DraftLength: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="TOKENS", help="Most that are guessed at once. Default: the model's."),
]


def decoding(
    num_beams: int | None,
    max_length: int | None,
    min_length: int | None,
    length_penalty: float | None,
    early_stopping: Literal["true", "false", "never"] | None,
    no_repeat_ngram_size: int | None,
    *,
    num_beam_groups: int | None = None,
    diversity_penalty: float | None = None,
    encoder_no_repeat_ngram_size: int | None = None,
    repetition_penalty: float | None = None,
    do_sample: bool | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    typical_p: float | None = None,
    seed: int | None = None,
    draft: Literal["none", "source", "auto"] | None = None,
    draft_length: int | None = None,
    num_return_sequences: int | None = None,
) -> dict[str, Any]:
    """The decoding settings that were given."""
    early: bool | Literal["never"] | None = None
    if early_stopping is not None:
        early = "never" if early_stopping == "never" else early_stopping == "true"
    given = {
        "num_beams": num_beams,
        "num_beam_groups": num_beam_groups,
        "diversity_penalty": diversity_penalty,
        "max_length": max_length,
        "min_length": min_length,
        "length_penalty": length_penalty,
        "early_stopping": early,
        "no_repeat_ngram_size": no_repeat_ngram_size,
        "encoder_no_repeat_ngram_size": encoder_no_repeat_ngram_size,
        "repetition_penalty": repetition_penalty,
        "do_sample": do_sample,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "typical_p": typical_p,
        "seed": seed,
        "draft": draft,
        "draft_length": draft_length,
        "num_return_sequences": num_return_sequences,
    }
    return {name: value for name, value in given.items() if value is not None}


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
