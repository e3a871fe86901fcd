"""The options of a decoding request, listed and checked. Loads no torch."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge

from warmstart.errors import UsageError
from warmstart.generation.generation_config import (
    NO_CONSTRAINTS,
    SAMPLING,
    Constraints,
    GenerationConfig,
)
from warmstart.generation.literals import AlignmentLayers
from warmstart.text.long_sources import Long
from warmstart.validation import UNCHECKED

if TYPE_CHECKING:
    from warmstart.model.encoder_decoder import EncoderDecoder

__all__ = [
    "BATCHES_AHEAD",
    "RequestOptions",
    "check_model",
    "check_streamable",
    "option",
    "resolve_request",
]

logger = logging.getLogger(__name__)

BATCHES_AHEAD = 32  # taken at a time, to batch texts of similar length together

_CONFIG = tuple(field.name for field in fields(GenerationConfig))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions(GenerationConfig):
    """Options of a decoding request. Settings that are left out are the model's own."""

    KEYWORD_HINTS: ClassVar[Mapping[str, str]] = {
        **GenerationConfig.KEYWORD_HINTS,
        "options": "give config=GenerationConfig(...).",
        **{
            field.name: f"give constraints=Constraints({field.name}=...)."
            for field in fields(Constraints)
        },
    }

    config: Annotated[GenerationConfig | None, UNCHECKED] = None
    """Decoding settings to start from; default: the model's."""
    batch_size: Annotated[int, Ge(1)] = 32
    """Texts decoded side by side; those of similar length go together."""
    max_source_length: int | None = None
    """Longest source, in tokens; default: what the positions allow."""
    long: Long = "truncate"
    """Longer sources: truncate them and count, decode them in chunks that end where sentences do
    and join the outputs with spaces, or raise an error."""
    chunk_overlap: Annotated[int, Ge(0)] = 0
    """With long chunk: most tokens of a chunk's last sentences that the next begins with."""
    prefix: Annotated[str | Sequence[str] | None, UNCHECKED] = None
    """Beginning of each output: one text for all, or one for each; end it with a whole word,
    without a space."""
    choices: Annotated[Sequence[str] | None, UNCHECKED] = None
    """The outputs that are allowed; default: any."""
    regex: str | None = None
    """A regular expression that each output matches as a whole, in the syntax of Python's re
    without look-arounds and back-references; default: any output."""
    constraints: Annotated[Constraints, UNCHECKED] = NO_CONSTRAINTS
    """Forced first and last tokens, and bad words; default: the model's."""
    scores: bool = False
    """Add the scores of outputs; `generate_detailed` always does."""
    alignments: AlignmentLayers | None = None
    """Add the source tokens that each output token came from, by cross-attention: the mean over
    all layers, or the last layer; default: none."""

    def __post_init__(self) -> None:
        GenerationConfig.__post_init__(self)
        if self.choices is not None and self.regex is not None:
            raise UsageError(
                "choices and regex are both given; leave the choices out that the regex does not "
                "match, or give the choices as part of it: (one|another)."
            )
        if self.chunk_overlap and self.long != "chunk":
            raise UsageError(
                f"chunk_overlap is {self.chunk_overlap}, but long is '{self.long}', where nothing "
                "overlaps; set long to 'chunk', or leave the overlap out."
            )
        for name in ("alignments", "choices", "regex"):
            if self.long == "chunk" and getattr(self, name) is not None:
                raise UsageError(
                    f"{name} is given and long is 'chunk', but it is of a text as a whole. Set "
                    f"long to 'truncate' or 'error', or leave {name} out."
                )


def option(changes: Mapping[str, Any], name: str) -> Any:
    """An option as given, or its default in `RequestOptions`."""
    return changes.get(name, RequestOptions.__dataclass_fields__[name].default)


def resolve_request(
    changes: Mapping[str, Any],
    config: GenerationConfig,
    constraints: Constraints,
    target_limit: int | None,
) -> RequestOptions:
    """All options of a request: those given, and the model's own for the others.

    Args:
        changes: the options given, names of `RequestOptions`.
        config: the model's own settings.
        constraints: the model's own.
        target_limit: longest target in tokens, see `EncoderDecoder.target_limit`.

    Raises:
        UsageError: if an option is not allowed, or contradicts another.
    """
    base: object = changes.get("config") or config
    if not isinstance(base, GenerationConfig):
        raise UsageError(f"config is {base!r:.80}; give a GenerationConfig.")
    own = {name: value for name, value in changes.items() if name not in _CONFIG}
    own["config"], own["constraints"] = None, changes.get("constraints") or constraints
    if not isinstance(own["constraints"], Constraints):
        raise UsageError(f"constraints is {own['constraints']!r:.80}; give Constraints(...).")
    overrides = {name: changes[name] for name in changes if name in _CONFIG}
    if overrides.get("detokenize", base.detokenize) is None:
        overrides["detokenize"] = config.detokenize  # the tokenizer's need, whatever the settings
    resolved = resolve_config(base, overrides, target_limit)
    return RequestOptions(**{name: getattr(resolved, name) for name in _CONFIG}, **own)


def resolve_config(
    config: GenerationConfig, changes: Mapping[str, Any], target_limit: int | None
) -> GenerationConfig:
    """Settings with some of them changed, and with lengths that the model can write.

    Args:
        config: the settings.
        changes: those to change.
        target_limit: longest target in tokens, see `EncoderDecoder.target_limit`.

    Raises:
        UsageError: if a setting is not allowed, or contradicts another.
    """
    resolved = GenerationConfig(
        **{name: getattr(config, name) for name in _CONFIG if name not in changes}, **changes
    )
    if "draft_length" in changes:
        for name, useless in (
            ("draft", resolved.draft == "none"),
            ("do_sample", resolved.do_sample),
            ("num_beams", resolved.num_beams > 1),
        ):
            if useless:
                raise UsageError(
                    f"draft_length is given, but {name} is {getattr(resolved, name)!r}, where "
                    "nothing is guessed; drafts go with greedy search. Leave one of the two out."
                )
    useless_names = [name for name in SAMPLING if name in changes]
    if useless_names and not resolved.do_sample:
        raise UsageError(
            f"{useless_names[0]} is given, which only sampling uses, but do_sample is not set; "
            "set it, or leave the other out."
        )
    if target_limit is not None and resolved.max_length > target_limit:
        if "max_length" in changes:
            _warn_of_limit(resolved.max_length, target_limit)
        resolved = replace(
            resolved,
            max_length=target_limit,
            min_length=min(resolved.min_length, target_limit),
        )
    return resolved


@cache  # once, however many requests ask for it
def _warn_of_limit(max_length: int, limit: int) -> None:
    logger.warning(
        "max_length is %d, but the model has positions for %d target tokens, the start token "
        "included; outputs end there.",
        max_length,
        limit,
    )


def check_model(model: "EncoderDecoder", request: RequestOptions) -> None:
    """Rejects a request that a model cannot follow.

    Raises:
        UsageError: naming the option.
    """
    request.constraints.check_vocabulary(model.config.decoder.embedding.vocabulary)
    if request.alignments is not None and model.encoder is None:
        raise UsageError(
            "The model has no encoder, so there is no cross-attention to align by; leave "
            "alignments out."
        )


def check_streamable(request: RequestOptions) -> None:
    """Rejects outputs that are not written token by token.

    Raises:
        UsageError: naming the setting.
    """
    if request.num_beams > 1:
        raise UsageError(
            f"num_beams is {request.num_beams}, and a beam search knows its output only at the "
            "end; stream with num_beams 1, or use generate."
        )
    if request.num_return_sequences > 1:
        raise UsageError(
            f"num_return_sequences is {request.num_return_sequences}, and a stream is of one "
            "output; leave it out, or use generate."
        )
