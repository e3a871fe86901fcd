"""Decoding defaults and special tokens in a model folder's generation_config.json."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from warmstart.generation.options import GenerationOptions
from warmstart.text.special_tokens import SpecialTokens

__all__ = ["FILE", "read_generation", "write_generation"]

FILE = "generation_config.json"


def write_generation(options: GenerationOptions, special: SpecialTokens) -> dict[str, Any]:
    """What transformers reads too: its names are ours."""
    return {
        "decoder_start_token_id": special.start,
        "bos_token_id": special.start,
        "eos_token_id": special.end,
        "pad_token_id": special.pad,
        **asdict(options),
    }


def read_generation(
    config: Mapping[str, Any], special: SpecialTokens
) -> tuple[GenerationOptions, SpecialTokens]:
    """The inverse of `write_generation`; what the file does not say stays as it was.

    Args:
        config: what the file holds.
        special: what the tokenizer says; the file, which the model was trained with, wins.
    """
    known = {field.name for field in fields(GenerationOptions)}
    values = {key: config[key] for key in config.keys() & known if config[key] is not None}
    if "max_length" not in values:
        # A minimum above our default maximum would contradict it.
        values.pop("min_length", None)
    return GenerationOptions(**values), SpecialTokens(
        start=_id(config, "decoder_start_token_id", special.start),
        end=_id(config, "eos_token_id", special.end),
        pad=_id(config, "pad_token_id", special.pad),
    )


def _id(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key)
    if isinstance(value, list):
        value = value[0] if value else None
    return default if value is None else int(value)
