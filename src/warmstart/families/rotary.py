"""Rotary positions and layers with windows, as config.json files of all years spell them.

transformers 5 writes ``rope_parameters``, flat or by kind of layer; older files have a base of
their own (``rope_theta``) and ``rope_scaling``.
"""

from collections.abc import Callable, Mapping
from typing import Any

from warmstart.errors import CheckpointError
from warmstart.families.family import Config, field
from warmstart.model.config import Rotary, RotaryScaling

__all__ = ["rotary", "windows"]

_FULL, _SLIDING = "full_attention", "sliding_attention"


def rotary(
    config: Config,
    *,
    limit: int,
    size: int | None = None,
    theta_key: str = "rope_theta",
    default_theta: float = 10_000.0,
    local_theta_key: str | None = None,
    default_local_theta: float = 10_000.0,
) -> Rotary:
    """The rotary positions that a config describes.

    Args:
        config: config.json.
        limit: the longest sequence in tokens.
        size: leading values of a head that turn; None: all.
        theta_key: what older files call the base of the frequencies.
        default_theta: the base where the config does not say.
        local_theta_key: what older files call the base in layers with a window, for a family
            that has another there.
        default_local_theta: that base where the config does not say.

    Raises:
        CheckpointError: if the frequencies are scaled in a way that we cannot.
    """
    given = field(config, "rope_parameters", {})
    full: Mapping[str, Any] = given if _FULL not in given else given[_FULL] or {}
    sliding: Mapping[str, Any] | None = given.get(_SLIDING)
    scaling = field(config, "rope_scaling", {}) or full
    theta = {**full, **scaling}.get("rope_theta", field(config, theta_key, default_theta))
    local_theta = None
    if sliding is None or dict(sliding) != dict(scaling):
        local_theta = _local_theta(config, sliding or {}, limit, local_theta_key)
        if local_theta is None and local_theta_key is not None:
            local_theta = default_local_theta
    return Rotary(
        theta=float(theta),
        limit=limit,
        size=size,
        scaling=_scaling(scaling, limit),
        local_theta=None if local_theta is None else float(local_theta),
    )


def windows(
    config: Config, layers: int, span: int | None, sliding: Callable[[int], bool]
) -> tuple[int | None, ...] | None:
    """The window of each layer; None where no layer has one.

    Args:
        config: config.json; its layer_types, where it has them, say which layers have a window.
        layers: how many there are.
        span: in a layer with a window a token sees tokens less than this away; None: no layer
            has a window.
        sliding: whether a layer, counted from 0, has a window, where the config does not say.

    Raises:
        CheckpointError: if layer_types cannot be followed.
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
            f"The config's layer_types have '{_SLIDING}', but no width is given for the window; "
            "set sliding_window."
        )
    return tuple(span if kind == _SLIDING else None for kind in kinds)


def _local_theta(
    config: Config, sliding: Mapping[str, Any], limit: int, key: str | None
) -> float | None:
    """What a config says of the base in layers with a window."""
    if _scaling(sliding, limit) is not None:
        raise CheckpointError(
            f"The config's rope_parameters scale {_SLIDING} layers in a way of their own; only "
            f"{_FULL} layers can be scaled, or both alike."
        )
    theta: float | None = sliding.get("rope_theta")
    return config.get(key) if theta is None and key is not None else theta


def _scaling(parameters: Mapping[str, Any], limit: int) -> RotaryScaling | None:
    kind = parameters.get("rope_type", parameters.get("type", "default"))

    def value(key: str) -> float:
        if parameters.get(key) is None:
            raise CheckpointError(
                f"The config scales rotary positions by '{kind}' and does not say '{key}'. "
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
                original_limit=int(parameters.get("original_max_position_embeddings") or limit),
            )
        case _:
            raise CheckpointError(
                f"The config scales rotary positions by '{kind}' (rope_scaling or "
                "rope_parameters); only 'default', 'linear' and 'llama3' can be composed."
            )
