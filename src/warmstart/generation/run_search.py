"""Decoding a batch by greedy search, speculative search, beam search or sampling."""

from dataclasses import replace

import torch

from warmstart.generation.beam import beam_search
from warmstart.generation.greedy import greedy_search
from warmstart.generation.hypothesis import Hypothesis
from warmstart.generation.row_inputs import NO_INPUTS, RowInputs
from warmstart.generation.sampling import sample
from warmstart.generation.search import Search
from warmstart.generation.speculative import speculative_search
from warmstart.inference.allocator import keep_freed_memory
from warmstart.inference.convert import prepare_for_decoding
from warmstart.model.evaluation_mode import evaluation_mode
from warmstart.model.sequences import Sequences

__all__ = ["run_search"]


@torch.inference_mode()
def run_search(
    search: Search, source: Sequences, inputs: RowInputs = NO_INPUTS
) -> list[list[Hypothesis]]:
    """Decodes a batch of sources, with dropout off whatever the model's mode.

    Args:
        search: its model may be in any mode, which is restored.
        source: B sources.
        inputs: of the batch.

    Returns:
        `num_return_sequences` outputs of each source, best first; a beam search that finds fewer
        ends with missing ones. Shape: [B, ...]
    """
    keep_freed_memory()
    prepared = replace(search, model=prepare_for_decoding(search.model))
    with evaluation_mode(search.model):
        if prepared.config.num_beams > 1:
            return beam_search(prepared, source, inputs)
        if prepared.config.do_sample:
            return sample(prepared, source, inputs)
        if inputs.draft_rows:
            return speculative_search(prepared, source, inputs)
        return greedy_search(prepared, source, inputs)
