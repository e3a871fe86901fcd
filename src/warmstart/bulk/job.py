"""A bulk job: everything that the outputs depend on, except the input."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from warmstart.decoding.request import RequestOptions, option
from warmstart.errors import UsageError
from warmstart.generation.generation_config import GenerationConfig
from warmstart.keywords import changes, check_names
from warmstart.model.loading_types import Compile, Device, Dtype
from warmstart.validation import UNCHECKED, checked_values, validate

__all__ = ["Job", "JobOptions", "TextErrors", "TextFormat"]

TextFormat: TypeAlias = Literal["text", "jsonl"]
TextErrors: TypeAlias = Literal["strict", "replace"]


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Options of a bulk job, except those of decoding."""

    model: str
    """Model folder or hub id."""
    dtype: Dtype = "float32"
    """Type of the weights: fewer bits take less memory, and mostly less time."""
    device: Device = None
    """Device to decode on: cpu, cuda, cuda:1 or mps; default: a CUDA GPU, or without one the CPU.
    Several processes share the GPUs, or are all on the CPU."""
    compile: Compile = "no"
    """Compile the steps of decoding: not, while decoding without, or before. On a GPU, background
    and wait record the steps as a CUDA graph."""
    input_format: TextFormat = "text"
    """Lines of text, or JSON Lines."""
    output_format: TextFormat = "text"
    """Lines of text, or JSON Lines."""
    source_column: str | None = None
    """JSON Lines: the field with the source; default: a well-known name."""
    output_column: str = "output"
    """JSON Lines: the added field."""
    errors: TextErrors = "strict"
    """Invalid UTF-8, and lone surrogates in JSON: an error with file and line, or U+FFFD, with
    the lines counted."""


@dataclass(frozen=True, kw_only=True)
class _JobKeywords(JobOptions, RequestOptions):
    KEYWORD_HINTS: ClassVar[Mapping[str, str]] = {
        **RequestOptions.KEYWORD_HINTS,
        "overrides": "give each setting as a keyword, or all of them as decoding={...}.",
    }

    decoding: Mapping[str, Any] = field(default_factory=dict)
    """Options of `RequestOptions`, as a mapping; single keywords come before it."""


@dataclass(frozen=True, kw_only=True, init=False)
class Job(JobOptions):
    """The settings of a bulk job, sent to every worker process.

    Options of decoding are given as keywords, ``Job(model="out/final", num_beams=4)``, and kept in
    `decoding`; missing ones are the model's own.
    """

    decoding: Annotated[Mapping[str, Any], UNCHECKED] = field(default_factory=dict)

    @changes(_JobKeywords)
    def __init__(self, changed: Mapping[str, Any]) -> None:
        """Sorts the keywords: options of the job, and of decoding."""
        own = {name: changed[name] for name in changed if name in _OWN}
        JobOptions.__init__(self, **own)
        single = {name: changed[name] for name in changed if name not in (*_OWN, "decoding")}
        decoding = {**changed.get("decoding", {}), **single}
        check_names(decoding, RequestOptions, "decoding")
        object.__setattr__(self, "decoding", checked_values(RequestOptions, decoding))
        self._check()

    def option(self, name: str) -> Any:
        """An option of decoding; where it is not given, the default of `RequestOptions`."""
        return option(self.decoding, name)

    def _check(self) -> None:
        validate(self)
        if not self.output_column:
            raise UsageError("output_column is empty; give the field a name, such as output.")
        prefix = self.option("prefix")
        if not isinstance(prefix, str | None):
            raise UsageError(f"prefix is {prefix!r:.80}; give one text for all outputs of a job.")
        json_only = {
            "scores": self.option("scores"),
            "alignments": self.option("alignments") is not None,
            "num_return_sequences above 1": self.option("num_return_sequences") > 1,
            "output_column": self.output_column != "output",
        }
        ignored = [name for name, given in json_only.items() if given]
        if self.output_format == "text" and ignored:
            raise UsageError(
                f"{ignored[0]} needs the output format jsonl: text has one output a line and "
                "nothing else. Give the output a name in .jsonl, or set the format."
            )
        if self.input_format == "text" and self.source_column is not None:
            raise UsageError(
                f"source_column is '{self.source_column}', but lines of text have no columns; set "
                "the input format to jsonl, or leave the column out."
            )

    def settings(self) -> dict[str, object]:
        """The settings that a resumed run must share with the interrupted one, as JSON.

        Not the model's name, since its folder may move, nor `device` and `compile`, which change
        outputs only by rounding, nor `errors`: the lines written had none. Of the settings that
        models save, only explicit ones.
        """
        values = {name: getattr(self, name) for name in _OWN}
        for name in ("model", "errors", "device", "compile"):
            del values[name]
        values |= {name: self.option(name) for name in _REQUEST}
        values |= self.decoding
        for name in ("config", "constraints"):
            if name in self.decoding:
                values[name] = asdict(self.decoding[name])
        if values["choices"] is not None:
            values["choices"] = list(values["choices"])
        return values


_OWN = tuple(own.name for own in fields(JobOptions))
_SAVED = {setting.name for setting in fields(GenerationConfig)}
# Options of requests that no model saves.
_REQUEST = tuple(
    requested.name
    for requested in fields(RequestOptions)
    if requested.name not in (*_SAVED, "config", "constraints")
)
