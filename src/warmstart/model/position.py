"""Rotary and sinusoidal positions. (Learned positions are a table, in `embedding.py`.)

Shape legend: T tokens (any leading shape), D head size, R rotated values of it, in R/2
frequencies, E embedding.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from warmstart.model.config import Rotary, RotaryScaling

__all__ = ["Rotation", "rotate", "rotation", "sinusoids"]


class Rotation(NamedTuple):
    """Cosines and sines of angles. Shape of each: [T, 1, R]"""

    cosines: Tensor
    sines: Tensor
    interleaved: bool  # see `Rotary`


def rotation(config: Rotary, head_size: int, positions_T: Tensor, *, local: bool) -> Rotation:
    """Angles for tokens at some positions, with an axis for the heads. Shape: [T] -> [T, 1, R]"""
    theta = config.local_theta if local and config.local_theta is not None else config.theta
    size = head_size if config.size is None else config.size
    exponents = torch.arange(0, size, 2, device=positions_T.device).float() / size
    frequencies = theta**-exponents
    # Gemma 3 stretches its global layers only.
    scaled = not (local and config.local_theta is not None)
    if scaled and config.scaling is not None:
        frequencies = _scaled(frequencies, config.scaling)
    angles = positions_T.float()[..., None, None] * frequencies
    if config.interleaved:
        angles = angles.repeat_interleave(2, dim=-1)
    else:
        angles = torch.cat((angles, angles), dim=-1)
    cosines, sines = angles.cos(), angles.sin()
    if scaled and config.scaling is not None and config.scaling.amplitude != 1.0:
        cosines, sines = cosines * config.scaling.amplitude, sines * config.scaling.amplitude
    return Rotation(cosines, sines, config.interleaved)


def rotate(x: Tensor, angles: Rotation) -> Tensor:
    """Rotates each head's vector by its token's angles. Shape: [T, heads, D] -> [T, heads, D]"""
    cosines, sines = angles.cosines.to(x.dtype), angles.sines.to(x.dtype)
    size = cosines.shape[-1]
    rotating, rest = x[..., :size], x[..., size:]
    if angles.interleaved:
        first, second = rotating[..., ::2], rotating[..., 1::2]
        crossed = torch.stack((-second, first), dim=-1).flatten(-2)
    else:
        first, second = rotating.chunk(2, dim=-1)
        crossed = torch.cat((-second, first), dim=-1)
    rotated = rotating * cosines + crossed * sines
    return rotated if size == x.shape[-1] else torch.cat((rotated, rest), dim=-1)


def sinusoids(positions_T: Tensor, size: int) -> Tensor:
    """Vectors of positions, sines before cosines. Shape: [T] -> [T, E]

    Vaswani et al. (2017), section 3.5, interleaves them; Marian does not.
    """
    # In double precision: angles are large, and the models were trained with exact ones.
    exponents = torch.arange(0, size, 2, device=positions_T.device).double() / size
    angles = positions_T.double()[..., None] * 10_000.0**-exponents
    return torch.cat((angles.sin(), angles.cos()), dim=-1)[..., :size].float()


def _scaled(frequencies: Tensor, scaling: RotaryScaling) -> Tensor:
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    if scaling.kind == "factors":
        return frequencies / torch.tensor(scaling.factors, device=frequencies.device)
    # llama3: long waves are stretched, short ones kept, with a ramp in between.
    wavelengths = 2 * math.pi / frequencies
    turns = scaling.original_limit / wavelengths
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    ramp = ((turns - low) / (high - low)).clamp(0.0, 1.0)
    return frequencies * (ramp + (1 - ramp) / scaling.factor)
