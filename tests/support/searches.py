"""Searches for tests, bound and run in one call."""

from warmstart.generation.generation_config import NO_CONSTRAINTS, Constraints, GenerationConfig
from warmstart.generation.hypothesis import Hypothesis
from warmstart.generation.row_inputs import NO_INPUTS, RowInputs
from warmstart.generation.run_search import run_search
from warmstart.generation.search import Search
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences
from warmstart.text.special_tokens import SpecialTokens

__all__ = ["all_outputs", "first_outputs"]


def all_outputs(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    config: GenerationConfig,
    constraints: Constraints = NO_CONSTRAINTS,
    inputs: RowInputs = NO_INPUTS,
    *,
    scored: bool = False,
) -> list[list[Hypothesis]]:
    """The outputs of each source. Shape: [B, ...]"""
    search = Search(
        model=model, special=special, config=config, constraints=constraints, scored=scored
    )
    return run_search(search, source, inputs)


def first_outputs(
    model: EncoderDecoder,
    source: Sequences,
    special: SpecialTokens,
    config: GenerationConfig,
    constraints: Constraints = NO_CONSTRAINTS,
    inputs: RowInputs = NO_INPUTS,
) -> list[list[int]]:
    """The tokens of the first output of each source. Shape: [B, ...]"""
    found = all_outputs(model, source, special, config, constraints, inputs)
    return [outputs[0].tokens for outputs in found]
