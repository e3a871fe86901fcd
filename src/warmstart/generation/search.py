"""Decoding a batch: greedy, beam search or sampling by the options."""

import torch

from warmstart.generation.beam import beam_search
from warmstart.generation.config import NO_CONSTRAINTS, Constraints, GenerationConfig
from warmstart.generation.hypothesis import Hypothesis
from warmstart.generation.row_inputs import NO_GUIDE, Guide
from warmstart.generation.speculative import drafted_search
from warmstart.generation.token_by_token import greedy_search, sample
from warmstart.inference.allocator import keep_freed_memory
from warmstart.inference.convert import prepare_for_decoding
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.evaluation_mode import evaluation_mode
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

__all__ = ["search", "search_all"]


def search(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationConfig,
    constraints: Constraints = NO_CONSTRAINTS,
    guide: Guide = NO_GUIDE,
) -> list[list[int]]:
    """The first output of each source; arguments as `search_all`.

    Returns:
        Tokens of each output, without the start token and up to the end token. Shape: [B, ...]
    """
    found = search_all(model, source, special, options, constraints, guide)
    return [outputs[0].tokens for outputs in found]


@torch.inference_mode()
def search_all(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    options: GenerationConfig,
    constraints: Constraints = NO_CONSTRAINTS,
    guide: Guide = NO_GUIDE,
    *,
    scored: bool = False,
) -> list[list[Hypothesis]]:
    """Decodes a batch of sources, with dropout off whatever the model's mode.

    Args:
        model: as it is; its mode is put back.
        source: B sources.
        special: start and end token.
        options: `num_beams` 1 is greedy, unless `do_sample` is set.
        constraints: what the model asks for, whatever the options.
        guide: what the call and its texts ask for.
        scored: whether the scores of greedy outputs and samples are asked for, too.

    Returns:
        `num_return_sequences` outputs of each source, best first; of beam search at the end ones
        that there are not, if there are fewer. Shape: [B, ...]
    """
    keep_freed_memory()
    ready = prepare_for_decoding(model)
    with evaluation_mode(model):
        if options.num_beams > 1:
            return beam_search(ready, source, special, options, constraints, guide)
        if options.do_sample:
            find = sample
        else:
            find = drafted_search if guide.draft_rows else greedy_search
        return find(ready, source, special, options, constraints, guide, scored=scored)
