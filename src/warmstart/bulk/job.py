"""What is to be written for each source: all that an output depends on, but for the input."""

from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

from warmstart.errors import UsageError
from warmstart.generation.options import GenerationOverrides
from warmstart.text.long_sources import Long

__all__ = ["Job", "TextErrors", "TextFormat"]

TextFormat: TypeAlias = Literal["text", "jsonl"]
# What becomes of bytes that are no UTF-8, and of half a character in JSON: an error, or U+FFFD.
TextErrors: TypeAlias = Literal["strict", "replace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How sources become outputs. It goes to every process as it is."""

    model: str  # folder or hub id
    dtype: Literal["float32", "bfloat16", "float16", "int8", "float8"] = "float32"  # of the weights
    compile: Literal["no", "background", "wait"] = "no"  # steps of decoding
    batch_size: int = 32  # texts decoded side by side, >= 1
    max_source_length: int | None = None  # tokens; None: what the positions allow
    long: Long = "truncate"  # what becomes of longer sources
    chunk_overlap: int = 0  # tokens, with long "chunk"
    prefix: str | None = None  # what each output begins with
    choices: tuple[str, ...] | None = None  # the outputs that are allowed
    regex: str | None = None  # what each output matches as a whole
    overrides: GenerationOverrides = field(default_factory=GenerationOverrides)
    input_format: TextFormat = "text"
    output_format: TextFormat = "text"
    source_column: str | None = None  # JSON Lines: which field is the source
    output_column: str = "output"  # JSON Lines: the field that is added
    scores: bool = False  # JSON Lines: whether a score is added, too
    alignments: Literal["mean", "last"] | None = None  # JSON Lines: the source word of each token
    errors: TextErrors = "strict"

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"batch_size is {self.batch_size}; it must be 1 or more.")
        if not self.output_column:
            raise UsageError("output_column is empty; give the field a name, such as output.")
        wanted = {
            "scores": self.scores,
            "alignments": self.alignments is not None,
            "num_return_sequences above 1": self.overrides.get("num_return_sequences", 1) > 1,
            "output_column": self.output_column != "output",
        }
        unheard = [name for name, given in wanted.items() if given]
        if self.output_format == "text" and unheard:
            raise UsageError(
                f"{unheard[0]} needs the output format jsonl: text has one output a line and "
                "nothing else. Give the output a name in .jsonl, or set the format."
            )
        if self.input_format == "text" and self.source_column is not None:
            raise UsageError(
                f"source_column is '{self.source_column}', but lines of text have no columns; set "
                "the input format to jsonl, or leave the column out."
            )

    def settings(self) -> dict[str, object]:
        """What an interrupted file's rest must have in common with its beginning, as JSON values.

        Not the model's name, which may have moved, nor `compile`, which changes no output but by
        rounding, nor `errors`: what was written had none.
        """
        values = asdict(self)
        del values["model"], values["errors"], values["compile"]
        overrides = values.pop("overrides")
        choices = values.pop("choices")
        return {**values, "choices": None if choices is None else list(choices), **overrides}
