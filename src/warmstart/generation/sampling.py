"""Sampling: the tokens that may be drawn, and the draw.

Shape legend: B sources, R rows decoded side by side (the rows of a source are adjacent), L tokens
at most, V vocabulary.
"""

from hashlib import blake2b

import torch
from torch import Tensor

from warmstart.generation.generation_config import GenerationConfig
from warmstart.generation.hypothesis import Hypothesis
from warmstart.generation.row_inputs import NO_INPUTS, RowInputs
from warmstart.generation.search import Search
from warmstart.generation.token_by_token import write_tokens
from warmstart.model.sequences import Sequences

__all__ = ["draw", "narrow", "sample", "uniform_numbers"]

_NEVER = float("-inf")


def sample(
    search: Search, source: Sequences, inputs: RowInputs = NO_INPUTS
) -> list[list[Hypothesis]]:
    """Draws tokens by their probability, one after the other.

    The samples of a source depend on the seed and on the source's tokens alone.

    Args:
        search: the beams of its config are ignored.
        source: B sources.
        inputs: of the batch.

    Returns:
        `num_return_sequences` outputs of each source. Shape: [B, ...]
    """
    config, copies = search.config, search.config.num_return_sequences
    uniform_RL = uniform_numbers(source, copies, config.max_length, config.seed)

    def choose(scores_RV: Tensor, rows_R: Tensor, length: int) -> tuple[Tensor, Tensor]:
        scores_RV = narrow(scores_RV, config)
        return scores_RV, draw(scores_RV, uniform_RL[rows_R, length])

    return write_tokens(search, source, inputs, choose, copies=copies)


def narrow(scores_RV: Tensor, config: GenerationConfig) -> Tensor:
    """Keeps the tokens that may be drawn, by transformers' filters and in their order.

    Each filter sees what the ones before have kept, and always keeps the likeliest token.

    Args:
        scores_RV: logits. Shape: [R, V]
        config: temperature and filters.

    Returns:
        Minus infinity where a token is not to be drawn. Shape: [R, V]
    """
    if config.temperature != 1.0:
        scores_RV = scores_RV / config.temperature
    if 0 < config.top_k < scores_RV.shape[-1]:
        least_R1 = scores_RV.topk(config.top_k).values[:, -1:]
        scores_RV = scores_RV.masked_fill(scores_RV < least_R1, _NEVER)
    if config.top_p < 1:
        scores_RV = _nucleus(scores_RV, config.top_p)
    if config.min_p > 0:
        shares_RV = scores_RV.softmax(-1)
        least_R1 = config.min_p * shares_RV.amax(-1, keepdim=True)
        scores_RV = scores_RV.masked_fill(shares_RV < least_R1, _NEVER)
    if config.typical_p < 1:
        scores_RV = _typical(scores_RV, config.typical_p)
    return scores_RV


def _nucleus(scores_RV: Tensor, mass: float) -> Tensor:
    """Keeps the fewest likeliest tokens that hold the mass (Holtzman et al. 2020, section 3.1)."""
    # From the unlikeliest on: tokens that go sum to one minus the mass at most.
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
    kept_RV = shares_RV.gather(1, order_RV).cumsum(-1)
    last_R1 = (kept_RV < mass).sum(-1, keepdim=True).clamp_max(scores_RV.shape[-1] - 1)
    go_RV = nearest_RV > nearest_RV.gather(1, last_R1)
    go_RV[:, 0] = False
    return scores_RV.masked_fill(go_RV.scatter(1, order_RV, go_RV), _NEVER)


def draw(scores_RV: Tensor, uniform_R: Tensor) -> Tensor:
    """Turns each row's number into a token, by its position among the cumulative probabilities.

    Args:
        scores_RV: logits; minus infinity is never drawn. Shape: [R, V]
        uniform_R: numbers from 0 to below 1, in float64. Shape: [R]

    Returns:
        Shape: [R]
    """
    # In float64: summed in float32, the last of 30,000 small probabilities would be lost.
    cumulative_RV = scores_RV.double().softmax(-1).cumsum(-1)
    # Scaled to the sum itself, which may be rounded below one. A token of zero probability adds
    # nothing, so no number falls on it.
    positions_R1 = uniform_R[:, None] * cumulative_RV[:, -1:]
    return torch.searchsorted(cumulative_RV, positions_R1, right=True)[:, 0].clamp_max(
        scores_RV.shape[1] - 1
    )


def uniform_numbers(source: Sequences, copies: int, length: int, seed: int) -> Tensor:
    """Numbers from 0 to below 1 that determine the samples of each source, whatever its batch.

    Each row has a generator, seeded by the seed, the source's tokens and the index of the output,
    so that neither the order of sources nor their batch matters, and more outputs do not change
    the first.

    Returns:
        In float64. Shape: [R, L]
    """
    numbers = []
    for tokens in source.tokens.cpu().split(list(source.lengths)):
        for copy in range(copies):
            key = f"{seed} {copy} ".encode() + tokens.numpy().tobytes()
            number = int.from_bytes(blake2b(key, digest_size=8).digest(), "big", signed=True)
            generator = torch.Generator().manual_seed(number)
            numbers.append(torch.rand(length, dtype=torch.float64, generator=generator))
    return torch.stack(numbers).to(source.tokens.device)
