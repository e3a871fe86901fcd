"""Decoding a batch: greedy or beam search by the options."""

import torch

from warmstart.generation.beam import beam_search
from warmstart.generation.greedy import greedy_search
from warmstart.generation.logits import NONE
from warmstart.generation.options import Constraints, GenerationOptions
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

__all__ = ["search"]


@torch.inference_mode()
def search(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationOptions,
    constraints: Constraints = NONE,
) -> list[list[int]]:
    """Decodes a batch of sources, with dropout off whatever the model's mode.

    Args:
        model: as it is; its mode is put back.
        source: B sources.
        special: start and end token.
        options: `num_beams` 1 is greedy.
        constraints: what the model asks for, whatever the options.

    Returns:
        Tokens of each output, without the start token and up to the end token. Shape: [B, ...]
    """
    was_training = model.training
    model.eval()
    try:
        find = greedy_search if options.num_beams == 1 else beam_search
        return find(model, source, special, options, constraints)
    finally:
        model.train(was_training)
