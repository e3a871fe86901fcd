"""The output of a source does not depend on what else is in its batch, nor on the order."""

from collections.abc import Callable

import pytest
import torch
from tests.generation.test_search import SPECIAL, WORDS, model_of
from tests.support.searches import all_outputs

from warmstart.constrained.trie import Trie
from warmstart.generation.generation_config import Constraints, GenerationConfig
from warmstart.generation.row_inputs import RowInputs
from warmstart.model.sequences import Sequences

SOURCES = [[(3 * row + place * place) % WORDS for place in range(1 + row % 7)] for row in range(12)]
SETTINGS = (
    GenerationConfig(max_length=9),
    GenerationConfig(max_length=9, repetition_penalty=1.7),
    GenerationConfig(max_length=9, no_repeat_ngram_size=2, encoder_no_repeat_ngram_size=2),
    GenerationConfig(max_length=9, num_beams=3, num_return_sequences=2, repetition_penalty=1.3),
    GenerationConfig(
        max_length=9,
        num_beams=4,
        num_beam_groups=2,
        diversity_penalty=0.7,
        num_return_sequences=4,
        encoder_no_repeat_ngram_size=3,
    ),
    GenerationConfig(max_length=9, do_sample=True, top_p=0.9, num_return_sequences=2),
)


@pytest.mark.parametrize("options", SETTINGS)
@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_batches_of_any_shape(options: GenerationConfig, prefix: bool, seed: int) -> None:
    kinds: list[Callable[[list[list[int]]], RowInputs]] = [
        lambda rows: RowInputs(source_rows=rows),
        lambda rows: RowInputs(source_rows=rows, prefixes=[row[: len(row) // 3] for row in rows]),
        lambda rows: RowInputs(
            source_rows=rows, automaton=Trie([[4, 2, 1], [3, 1], [2, 4, 4, 1]], 1, WORDS)
        ),
    ]
    constraints = Constraints(bad_words_ids=((2, 2), (3, 4, 3)))
    model = model_of(seed, prefix=prefix)
    for inputs_of in kinds:

        def outputs(rows: list[list[int]], size: int) -> list[list[list[int]]]:
            found = []
            for first in range(0, len(rows), size):
                batch = rows[first : first + size]
                found += all_outputs(
                    model,
                    Sequences.of(batch),
                    SPECIAL,
                    options,
                    constraints,
                    inputs_of(batch),  # noqa: B023
                )
            return [[output.tokens for output in of_source] for of_source in found]

        together = outputs(SOURCES, len(SOURCES))
        for size in (1, 5):
            assert outputs(SOURCES, size) == together
        assert outputs(SOURCES[::-1], 4) == together[::-1]


def test_how_far_scores_of_different_batches_lie_apart() -> None:
    """What the documentation says of near ties: rounding, and no more."""
    options, apart = GenerationConfig(max_length=9), 0.0
    for seed in range(3):
        model = model_of(seed)
        together = all_outputs(model, Sequences.of(SOURCES), SPECIAL, options, scored=True)
        for source, (output,) in zip(SOURCES, together, strict=True):
            ((alone,),) = all_outputs(model, Sequences.of([source]), SPECIAL, options, scored=True)
            difference = torch.tensor(alone.token_scores) - torch.tensor(output.token_scores)
            apart = max(apart, difference.abs().max().item())
    assert apart < 1e-5
