"""Rotary positions and layers with windows, in the spellings of all config.json versions.

transformers 5 writes ``rope_parameters``, flat or by kind of layer; older files have a separate
base (``rope_theta``) and ``rope_scaling``.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from warmstart.errors import CheckpointError
from warmstart.families.family import Config, field
from warmstart.model.config import Rotary, RotaryScaling

__all__ = ["rotary", "windows"]

_FULL, _SLIDING = "full_attention", "sliding_attention"
_LONG_ROPE = ("longrope", "su")


def rotary(
    config: Config,
    *,
    limit: int,
    size: int | None = None,
    head_size: int | None = None,
    theta_key: str = "rope_theta",
    default_theta: float = 10_000.0,
    local_theta_key: str | None = None,
    default_local_theta: float = 10_000.0,
) -> Rotary:
    """The rotary positions of a config.

    Args:
        config: config.json.
        limit: the longest sequence in tokens.
        size: rotated leading values of a head; None: all.
        head_size: all values of a head, which YaRN and LongRoPE need where size is None.
        theta_key: key of the base of the frequencies in older files.
        default_theta: the base, unless the config has it.
        local_theta_key: key of the base of layers with a window in older files, for a family
            with a different one.
        default_local_theta: that base, unless the config has it.

    Raises:
        CheckpointError: if the scaling of the frequencies is not supported.
    """
    given = field(config, "rope_parameters", {})
    full: Mapping[str, Any] = given if _FULL not in given else given[_FULL] or {}
    sliding: Mapping[str, Any] | None = given.get(_SLIDING)
    scaling = field(config, "rope_scaling", {}) or full
    theta = {**full, **scaling}.get("rope_theta", field(config, theta_key, default_theta))
    rotated = head_size if size is None else size
    original = config.get("original_max_position_embeddings")
    if original is not None:  # precedes that of the parameters, as in transformers
        scaling = {**scaling, "original_max_position_embeddings": original}
    stretched = _scaling(scaling, limit, float(theta), rotated)
    if _kind(scaling) in _LONG_ROPE:
        # Longer sequences have other factors, which would change in the middle of a decoding.
        limit = min(limit, int(scaling.get("original_max_position_embeddings") or limit))
    local_theta = None
    if sliding is None or dict(sliding) != dict(scaling):
        local_theta = _local_theta(config, sliding or {}, limit, local_theta_key)
        if local_theta is None and local_theta_key is not None:
            local_theta = default_local_theta
    return Rotary(
        theta=float(theta),
        limit=limit,
        size=size,
        scaling=stretched,
        local_theta=None if local_theta is None else float(local_theta),
    )


def windows(
    config: Config, layers: int, span: int | None, sliding: Callable[[int], bool]
) -> tuple[int | None, ...] | None:
    """The window of each layer; None if no layer has one.

    Args:
        config: config.json; its layer_types, if any, name the layers with a window.
        layers: number of layers.
        span: in a layer with a window a token sees tokens less than this away; None: no layer
            has a window.
        sliding: whether a layer, counted from 0, has a window, unless the config has layer_types.

    Raises:
        CheckpointError: if layer_types are invalid.
    """
    kinds = config.get("layer_types")
    if kinds is None:
        if span is None:
            return None
        kinds = [_SLIDING if sliding(layer) else _FULL for layer in range(layers)]
    if len(kinds) != layers:
        raise CheckpointError(
            f"The config's layer_types name {len(kinds)} layers and the checkpoint has {layers}; "
            "there must be one for each."
        )
    for kind in kinds:
        if kind not in (_FULL, _SLIDING):
            raise CheckpointError(
                f"The config's layer_types have '{kind}'; only '{_FULL}' and '{_SLIDING}' can be "
                "composed."
            )
    if _SLIDING not in kinds:
        return None
    if span is None:
        raise CheckpointError(
            f"The config's layer_types have '{_SLIDING}', but the window has no width; "
            "set sliding_window."
        )
    return tuple(span if kind == _SLIDING else None for kind in kinds)


def _local_theta(
    config: Config, sliding: Mapping[str, Any], limit: int, key: str | None
) -> float | None:
    """A config's base in layers with a window."""
    if _kind(sliding) != "default":
        raise CheckpointError(
            f"The config's rope_parameters scale {_SLIDING} layers differently; only "
            f"{_FULL} layers can be scaled, or both in the same way."
        )
    theta: float | None = sliding.get("rope_theta")
    return config.get(key) if theta is None and key is not None else theta


def _kind(parameters: Mapping[str, Any]) -> str:
    return str(parameters.get("rope_type", parameters.get("type", "default")))


def _scaling(
    parameters: Mapping[str, Any], limit: int, theta: float, size: int | None
) -> RotaryScaling | None:
    kind = _kind(parameters)
    original = int(parameters.get("original_max_position_embeddings") or limit)

    def value(key: str) -> float:
        if parameters.get(key) is None:
            raise CheckpointError(
                f"The config scales rotary positions by '{kind}', but has no '{key}'. "
                "Restore the config.json that the checkpoint was saved with."
            )
        return float(parameters[key])

    match kind:
        case "default":
            return None
        case "linear":
            return RotaryScaling(kind="linear", factor=value("factor"))
        case "llama3":
            return RotaryScaling(
                kind="llama3",
                factor=value("factor"),
                low_frequency_factor=value("low_freq_factor"),
                high_frequency_factor=value("high_freq_factor"),
                original_limit=original,
            )
        case "yarn" if size is not None:
            return _yarn(parameters, limit, original, theta, size)
        case _ if kind in _LONG_ROPE and size is not None:
            return _long_rope(parameters, limit, original, size)
        case _:
            raise CheckpointError(
                f"The config scales rotary positions by '{kind}' (rope_scaling or "
                "rope_parameters); only 'default', 'linear', 'llama3' and, in most families, "
                "'yarn' and 'longrope' can be composed."
            )


def _yarn(
    parameters: Mapping[str, Any], limit: int, original: int, theta: float, size: int
) -> RotaryScaling:
    """YaRN (Peng et al. 2023, sections 3.2 and 3.4): long waves are stretched, short ones kept."""
    factor = float(parameters.get("factor") or limit / original)

    def frequency_of(turns: float) -> float:
        """The index of the frequency that turns so often in the original context."""
        return size * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low = frequency_of(parameters.get("beta_fast") or 32)
    high = frequency_of(parameters.get("beta_slow") or 1)
    if parameters.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, size - 1)
    if low == high:
        high += 0.001
    ramps = [min(max((index - low) / (high - low), 0.0), 1.0) for index in range(size // 2)]
    scale, scale_all = parameters.get("mscale"), parameters.get("mscale_all_dim")
    amplitude = parameters.get("attention_factor")
    if amplitude is None and scale and scale_all:
        amplitude = _magnitude(factor, scale) / _magnitude(factor, scale_all)
    return RotaryScaling(
        kind="factors",
        factors=tuple(1 / (ramp / factor + 1 - ramp) for ramp in ramps),
        amplitude=float(_magnitude(factor) if amplitude is None else amplitude),
    )


def _magnitude(factor: float, scale: float = 1.0) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def _long_rope(
    parameters: Mapping[str, Any], limit: int, original: int, size: int
) -> RotaryScaling:
    """LongRoPE (Ding et al. 2024) within the original context, for which it has short factors."""
    factors = parameters.get("short_factor")
    if not isinstance(factors, list) or len(factors) != size // 2:
        raise CheckpointError(
            "The config scales rotary positions by 'longrope', but its short_factor is not a list "
            f"of {size // 2} numbers. Restore the config.json that the checkpoint was saved with."
        )
    factor = float(parameters.get("factor") or limit / original)
    amplitude = parameters.get("attention_factor")
    if amplitude is None:
        amplitude = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    return RotaryScaling(kind="factors", factors=tuple(factors), amplitude=float(amplitude))
