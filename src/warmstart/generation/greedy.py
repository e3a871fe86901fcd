"""Greedy search. Shape legend: B sources, V vocabulary."""

from warmstart.generation.logits import NONE, constrain
from warmstart.generation.options import Constraints, GenerationOptions
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

__all__ = ["greedy_search"]


def greedy_search(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationOptions,
    constraints: Constraints = NONE,
) -> list[list[int]]:
    """Writes the likeliest token, one after the other.

    Args:
        model: in evaluation mode.
        source: B sources.
        special: start and end token.
        options: `num_beams` is not looked at.
        constraints: what the model asks for.

    Returns:
        Tokens of each output, without the start token and up to the end token. Shape: [B, ...]
    """
    cache = model.start(source, options.max_length)
    written = [[special.start] for _ in source.lengths]
    finished = [False] * len(written)
    tokens_B1 = source.tokens.new_full((len(written), 1), special.start)
    while len(written[0]) < options.max_length:
        # In float32: bfloat16 scores over a whole vocabulary tie.
        scores_BV = model.step(tokens_B1, cache)[:, -1].float()
        scores_BV = constrain(scores_BV, written, special.end, options, constraints)
        tokens_B1 = scores_BV.argmax(-1, keepdim=True)
        for row, token in enumerate(tokens_B1[:, 0].tolist()):
            written[row].append(token)
            finished[row] = finished[row] or token == special.end
        if all(finished):
            break
    return [up_to_end(tokens[1:], special.end) for tokens in written]


def up_to_end(tokens: list[int], end: int) -> list[int]:
    """Cuts behind the first end token."""
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens
