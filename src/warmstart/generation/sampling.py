"""What sampling draws from, and how it draws.

Shape legend: B sources, R rows decoded side by side (the rows of a source stand together),
L tokens at most, V vocabulary.
"""

from hashlib import blake2b

import torch
from torch import Tensor

from warmstart.generation.config import GenerationConfig
from warmstart.model.sequences import Sequences

__all__ = ["draw", "narrow", "uniform_numbers"]

_NEVER = float("-inf")


def narrow(scores_RV: Tensor, options: GenerationConfig) -> Tensor:
    """Leaves the tokens that may be drawn, by transformers' rules and in their order.

    Each rule looks at what the rules before have left, and always leaves the likeliest token.

    Args:
        scores_RV: logits. Shape: [R, V]
        options: temperature and filters are looked at.

    Returns:
        Minus infinity where a token is not to be drawn. Shape: [R, V]
    """
    if options.temperature != 1.0:
        scores_RV = scores_RV / options.temperature
    if 0 < options.top_k < scores_RV.shape[-1]:
        least_R1 = scores_RV.topk(options.top_k).values[:, -1:]
        scores_RV = scores_RV.masked_fill(scores_RV < least_R1, _NEVER)
    if options.top_p < 1:
        scores_RV = _nucleus(scores_RV, options.top_p)
    if options.min_p > 0:
        shares_RV = scores_RV.softmax(-1)
        least_R1 = options.min_p * shares_RV.amax(-1, keepdim=True)
        scores_RV = scores_RV.masked_fill(shares_RV < least_R1, _NEVER)
    if options.typical_p < 1:
        scores_RV = _typical(scores_RV, options.typical_p)
    return scores_RV


def _nucleus(scores_RV: Tensor, mass: float) -> Tensor:
    """Keeps the fewest likeliest tokens that hold the mass (Holtzman et al. 2020, section 3.1)."""
    # From the unlikeliest on: what may go sums to one minus the mass at most.
    ascending_RV, order_RV = scores_RV.sort(stable=True)
    go_RV = ascending_RV.softmax(-1).cumsum(-1) <= 1 - mass
    go_RV[:, -1] = False
    return scores_RV.masked_fill(go_RV.scatter(1, order_RV, go_RV), _NEVER)


def _typical(scores_RV: Tensor, mass: float) -> Tensor:
    """Keeps tokens whose information is nearest to the entropy (Meister et al. 2023, section 3)."""
    logs_RV = scores_RV.log_softmax(-1)
    shares_RV = logs_RV.exp()
    entropy_R1 = -(logs_RV * shares_RV).nansum(-1, keepdim=True)
    nearest_RV, order_RV = (-logs_RV - entropy_R1).abs().sort()
    held_RV = shares_RV.gather(1, order_RV).cumsum(-1)
    last_R1 = (held_RV < mass).sum(-1, keepdim=True).clamp_max(scores_RV.shape[-1] - 1)
    go_RV = nearest_RV > nearest_RV.gather(1, last_R1)
    go_RV[:, 0] = False
    return scores_RV.masked_fill(go_RV.scatter(1, order_RV, go_RV), _NEVER)


def draw(scores_RV: Tensor, uniform_R: Tensor) -> Tensor:
    """Turns each row's number into a token, by its place among the added probabilities.

    Args:
        scores_RV: logits; minus infinity is never drawn. Shape: [R, V]
        uniform_R: numbers from 0 to below 1, in float64. Shape: [R]

    Returns:
        Shape: [R]
    """
    # In float64: added up in float32, the last of 30,000 small probabilities would be lost.
    added_RV = scores_RV.double().softmax(-1).cumsum(-1)
    # Of the sum itself, which may be rounded below one. A token of no probability adds nothing,
    # so no number lies in it.
    places_R1 = uniform_R[:, None] * added_RV[:, -1:]
    return torch.searchsorted(added_RV, places_R1, right=True)[:, 0].clamp_max(
        scores_RV.shape[1] - 1
    )


def uniform_numbers(source: Sequences, rows: int, length: int, seed: int) -> Tensor:
    """Numbers from 0 to below 1 that settle the samples of each source, whatever its batch.

    A generator for each row, seeded by the seed, the source's tokens and which of its outputs the
    row is, so that neither order nor company matter, and more outputs do not change the first.

    Returns:
        In float64. Shape: [R, L]
    """
    numbers = []
    for tokens in source.tokens.cpu().split(list(source.lengths)):
        for row in range(rows):
            key = f"{seed} {row} ".encode() + tokens.numpy().tobytes()
            number = int.from_bytes(blake2b(key, digest_size=8).digest(), "big", signed=True)
            generator = torch.Generator().manual_seed(number)
            numbers.append(torch.rand(length, dtype=torch.float64, generator=generator))
    return torch.stack(numbers).to(source.tokens.device)
