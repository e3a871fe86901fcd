"""Decoding defaults and special tokens in a model folder's generation_config.json."""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from warmstart.checkpoint.files import Checkpoint, read_json
from warmstart.composition.composition import Composition
from warmstart.errors import UsageError
from warmstart.generation.generation_config import NO_CONSTRAINTS, Constraints, GenerationConfig
from warmstart.text.special_tokens import SpecialTokens

__all__ = [
    "FILE",
    "read_constraints",
    "read_generation",
    "saved_settings",
    "warn_of_unknown",
    "write_generation",
]

logger = logging.getLogger(__name__)

FILE = "generation_config.json"
# Settings of transformers' that change its outputs and that we do not have -> values that are off.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "begin_suppress_tokens": (None, []),
    "dola_layers": (None,),
    "encoder_repetition_penalty": (1.0,),
    "epsilon_cutoff": (0.0,),
    "eta_cutoff": (0.0,),
    "exponential_decay_length_penalty": (None,),
    "force_words_ids": (None, []),
    "guidance_scale": (None, 1, 1.0),
    "max_time": (None,),
    "penalty_alpha": (None, 0),
    "sequence_bias": (None, {}),
    "stop_strings": (None, []),
    "suppress_tokens": (None, []),
    "top_h": (None,),
    "watermarking_config": (None,),
}
# Always written, for they differ from transformers' defaults or did; others if they differ.
_ALWAYS = (
    "num_beams",
    "max_length",
    "min_length",
    "length_penalty",
    "early_stopping",
    "no_repeat_ngram_size",
)


def saved_settings(checkpoint: Checkpoint, composition: Composition) -> dict[str, Any]:
    """A folder's settings of decoding and special tokens.

    Older folders have them in config.json.
    """
    family = composition.seq2seq_family
    usual = {} if family is None else family.settings(composition.decoder)
    path = checkpoint.folder / FILE
    return {**usual, **checkpoint.config, **(read_json(path) if path.is_file() else {})}


def write_generation(
    config: GenerationConfig, special: SpecialTokens, constraints: Constraints = NO_CONSTRAINTS
) -> dict[str, Any]:
    """The file's content, under names that transformers reads too."""
    rules, settings, usual = asdict(constraints), asdict(config), asdict(GenerationConfig())
    return {
        "decoder_start_token_id": special.start,
        "bos_token_id": special.start,
        "eos_token_id": special.end,
        "pad_token_id": special.pad,
        **{key: rules[key] for key in rules if rules[key] != getattr(NO_CONSTRAINTS, key)},
        **{key: settings[key] for key in settings if key in _ALWAYS or settings[key] != usual[key]},
    }


def read_generation(
    config: Mapping[str, Any], special: SpecialTokens
) -> tuple[GenerationConfig, SpecialTokens]:
    """The inverse of `write_generation`; keys that are missing keep their defaults.

    Args:
        config: the file's content.
        special: of the tokenizer; the file, which the model was trained with, overrides it.
    """
    values, _ = _known(config)
    for key in _contradicted(values):
        del values[key]
    if "max_length" not in values:
        # A minimum above our default maximum would contradict it.
        values.pop("min_length", None)
    return GenerationConfig(**values), SpecialTokens(
        start=_id(config, "decoder_start_token_id", special.start),
        end=_id(config, "eos_token_id", special.end),
        pad=_id(config, "pad_token_id", special.pad),
    )


def read_constraints(config: Mapping[str, Any]) -> Constraints:
    """A folder's constraints on outputs."""
    return Constraints(**_constraints(config)[0])


def warn_of_unknown(config: Mapping[str, Any], name: str) -> None:
    """Warns of a folder's decoding settings that are not available.

    Args:
        config: the files' content.
        name: of the model.
    """
    left_out = [
        f"{key} {config[key]}"
        for key, neutral in _NEUTRAL.items()
        if config.get(key, neutral[0]) not in neutral and config[key] is not None
    ]
    values, unusable = _known(config)
    left_out += [f"{key} {config[key]!s:.80}" for key in (*unusable, *_contradicted(values))]
    left_out += [f"{key} {config[key]!s:.80}" for key in _constraints(config)[1]]
    ends = config.get("eos_token_id")
    if isinstance(ends, list) and len(ends) > 1:
        left_out.append(f"eos_token_id {ends[1:]} in addition to {ends[0]}")
    if left_out:
        logger.warning(
            "%s asks for decoding settings that are not available, or contradict each other, and "
            "are left out: %s.",
            name,
            ", ".join(left_out),
        )


def _known(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Settings that we have, and the names of those whose values are never allowed.

    Transformers' `max_new_tokens` counts without the start token, and wins over `max_length`.
    """
    named = {key: value for key, value in config.items() if value is not None}
    for new, ours in (("max_new_tokens", "max_length"), ("min_new_tokens", "min_length")):
        if isinstance(named.get(new), int):
            named[ours] = named[new] + 1
    known = {field.name for field in fields(GenerationConfig)} & named.keys()
    unusable = [key for key in named if key in known and not _allowed(key, named[key])]
    return {key: named[key] for key in named if key in known and key not in unusable}, unusable


def _constraints(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The valid constraints of a file, and the names of invalid ones."""
    valid: dict[str, Any] = {}
    unusable = []
    for key in Constraints.__dataclass_fields__:
        value = config.get(key)
        if key.startswith("forced"):
            value = _first(value)
        if key == "bad_words_ids" and isinstance(value, list):
            value = tuple(tuple(word) if isinstance(word, list) else word for word in value)
        if value is None:
            continue
        try:
            Constraints(**{key: value})
        except UsageError:
            unusable.append(key)
        else:
            valid[key] = value
    return valid, unusable


def _contradicted(values: Mapping[str, Any]) -> list[str]:
    """Settings that transformers ignores or refuses next to the others of the same file.

    A model must load whatever its file says; only requests are checked.
    """
    beams, groups = values.get("num_beams", 1), values.get("num_beam_groups", 1)
    sampled = bool(values.get("do_sample"))
    contradicted = []
    if not 0 <= values.get("min_length", 0) <= values.get("max_length", math.inf):
        contradicted.append("min_length")
    if sampled and beams > 1:  # sampling within beams
        contradicted.append("do_sample")
        sampled = False
    if groups < 1 or beams % groups or (groups > 1) != (values.get("diversity_penalty", 0.0) > 0):
        contradicted += [key for key in ("num_beam_groups", "diversity_penalty") if key in values]
    if not sampled and values.get("num_return_sequences", 1) > beams:
        contradicted.append("num_return_sequences")
    if values.get("draft") == "source" and (sampled or beams > 1):
        contradicted.append("draft")
    return contradicted


def _allowed(key: str, value: Any) -> bool:
    """Whether a value is allowed with suitable other settings."""
    others: dict[str, Any] = {}
    match key, value:
        case ("min_length", int()):
            others = {"max_length": max(value, 2)}
        case ("num_return_sequences", int()):
            others = {"num_beams": max(value, 1)}
        case ("num_beam_groups", int()) if value > 1:
            others = {"num_beams": value, "diversity_penalty": 1.0}
        case ("diversity_penalty", int() | float()) if value > 0:
            others = {"num_beams": 2, "num_beam_groups": 2}
    try:
        GenerationConfig(**{**others, key: value})
    except UsageError:
        return False
    return True


def _id(config: Mapping[str, Any], key: str, default: int) -> int:
    value = _first(config.get(key))
    return default if value is None else int(value)


def _first(value: Any) -> Any:
    """An id, the first of several, or None."""
    if isinstance(value, list):
        return value[0] if value else None
    return value
