"""Sampling draws what its settings say, and the same whatever its batch."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.generation.test_search import ROWS, SPECIAL, WORDS, model_of
from tests.support.searches import all_outputs
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from warmstart.generation.generation_config import GenerationConfig
from warmstart.generation.sampling import draw, narrow, uniform_numbers
from warmstart.model.sequences import Sequences

# The 99.9 % quantile of chi-squared, by degrees of freedom (Abramowitz and Stegun, table 26.8).
CHI_SQUARED = {1: 10.828, 2: 13.816, 3: 16.266, 4: 18.467}


@given(
    seed=st.integers(0, 10_000),
    temperature=st.sampled_from([0.3, 1.0, 2.5]),
    top_k=st.sampled_from([0, 1, 3, 50]),
    top_p=st.sampled_from([0.05, 0.6, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    typical_p=st.sampled_from([0.1, 0.7, 1.0]),
)
def test_the_tokens_left_are_those_that_transformers_leaves(
    seed: int, temperature: float, top_k: int, top_p: float, min_p: float, typical_p: float
) -> None:
    scores = 2 * torch.randn(3, 12, generator=torch.Generator().manual_seed(seed))
    scores[0, :4] = float("-inf")
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    warpers += [TopKLogitsWarper(top_k)] if top_k else []
    warpers += [TopPLogitsWarper(top_p)] if top_p < 1 else []
    warpers += [MinPLogitsWarper(min_p)]
    warpers += [TypicalLogitsWarper(typical_p)] if typical_p < 1 else []
    options = GenerationConfig(
        do_sample=True,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        typical_p=typical_p,
    )
    theirs = warpers(torch.zeros(3, 1, dtype=torch.long), scores.clone()).softmax(-1)
    torch.testing.assert_close(narrow(scores.clone(), options).softmax(-1), theirs)


def chi_squared(drawn: list[int], shares: list[float]) -> tuple[float, int]:
    """Pearson's statistic, and its degrees of freedom."""
    counts = Counter(drawn)
    possible = [token for token, share in enumerate(shares) if share > 0]
    assert counts.keys() <= set(possible), "a token of no probability was drawn"
    expected = {token: len(drawn) * shares[token] for token in possible}
    statistic = sum((counts[token] - expected[token]) ** 2 / expected[token] for token in possible)
    return statistic, len(possible) - 1


@pytest.mark.parametrize(
    "options",
    [
        GenerationConfig(do_sample=True),
        GenerationConfig(do_sample=True, temperature=0.6),
        GenerationConfig(do_sample=True, top_k=3),
        GenerationConfig(do_sample=True, top_p=0.7),
        GenerationConfig(do_sample=True, temperature=1.5, min_p=0.2),
        GenerationConfig(do_sample=True, typical_p=0.6),
    ],
)
def test_first_tokens_are_drawn_by_their_probability(options: GenerationConfig) -> None:
    model = model_of(1)
    options = replace(options, max_length=2, num_return_sequences=4000, seed=3)
    with torch.no_grad():
        logits = model(Sequences.of([ROWS[0]]), Sequences.of([[SPECIAL.start]]))
    shares = narrow(logits, options).double().softmax(-1)[0].tolist()
    found = all_outputs(model, Sequences.of([ROWS[0]]), SPECIAL, options)[0]
    statistic, freedom = chi_squared([output.tokens[0] for output in found], shares)
    assert freedom >= 1
    assert statistic < CHI_SQUARED[freedom]


def test_second_tokens_follow_their_first() -> None:
    model = model_of(2)
    options = GenerationConfig(do_sample=True, max_length=3, num_return_sequences=6000, top_k=0)
    found = all_outputs(model, Sequences.of([ROWS[3]]), SPECIAL, options)[0]
    tested = 0
    for first in range(WORDS):
        seconds = [
            output.tokens[1]
            for output in found
            if output.tokens[0] == first and first != SPECIAL.end
        ]
        if len(seconds) < 300:
            continue
        with torch.no_grad():
            logits = model(Sequences.of([ROWS[3]]), Sequences.of([[SPECIAL.start, first]]))
        statistic, freedom = chi_squared(seconds, logits[1].double().softmax(-1).tolist())
        assert statistic < CHI_SQUARED[freedom]
        tested += 1
    assert tested >= 2


def test_numbers_become_tokens_by_their_place_among_the_added_probabilities() -> None:
    shares = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25, 0.0]])
    for number, token in ((0.0, 1), (0.249, 1), (0.251, 3), (0.749, 3), (0.751, 4), (0.9999, 4)):
        assert draw(shares.log(), torch.tensor([number], dtype=torch.float64)).tolist() == [token]


def test_a_sample_depends_on_seed_and_source_alone() -> None:
    options = GenerationConfig(do_sample=True, max_length=9, num_return_sequences=3, top_k=0)
    for seed in range(3):
        model = model_of(seed)

        def samples(rows: list[list[int]], settings: GenerationConfig) -> list[list[list[int]]]:
            found = all_outputs(model, Sequences.of(rows), SPECIAL, settings)  # noqa: B023
            return [[output.tokens for output in outputs] for outputs in found]

        together = samples(ROWS, options)
        assert samples(ROWS[::-1], options) == together[::-1]
        assert [samples([row], options)[0] for row in ROWS] == together
        assert samples(ROWS, replace(options, seed=1)) != together
        fewer = samples(ROWS, replace(options, num_return_sequences=1))
        assert fewer == [outputs[:1] for outputs in together]
        assert any(len({tuple(tokens) for tokens in outputs}) > 1 for outputs in together)


def test_numbers_of_sources_seeds_and_rows_differ() -> None:
    numbers = uniform_numbers(Sequences.of([[1, 2], [1], [2, 1]]), copies=2, length=4, seed=0)
    assert numbers.shape == (6, 4)
    assert len(set(numbers.flatten().tolist())) == 24
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert not torch.equal(
        numbers, uniform_numbers(Sequences.of([[1, 2], [1], [2, 1]]), copies=2, length=4, seed=9)
    )


def test_the_likeliest_alone_is_greedy() -> None:
    model = model_of(1)
    greedy = all_outputs(model, Sequences.of(ROWS), SPECIAL, GenerationConfig(max_length=9))
    for changes in ({"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}, {"temperature": 1e-4}):
        options = GenerationConfig(do_sample=True, max_length=9, **changes)
        assert all_outputs(model, Sequences.of(ROWS), SPECIAL, options)[0][0].tokens == (
            greedy[0][0].tokens
        )


def test_scores_are_those_of_the_filtered_distribution() -> None:
    model = model_of(3)
    options = GenerationConfig(do_sample=True, max_length=7, top_k=3, temperature=0.8)
    found = all_outputs(model, Sequences.of(ROWS), SPECIAL, options, scored=True)
    for source, (output,) in zip(ROWS, found, strict=True):
        with torch.no_grad():
            logits = model(
                Sequences.of([source]), Sequences.of([[SPECIAL.start, *output.tokens[:-1]]])
            )
        logs = narrow(logits, options).log_softmax(-1)
        expected = logs.gather(1, torch.tensor(output.tokens)[:, None])[:, 0].tolist()
        assert output.token_scores == pytest.approx(expected, abs=1e-5)
        assert output.score == pytest.approx(sum(expected) / len(expected), abs=1e-5)
