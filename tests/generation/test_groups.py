"""Several outputs, groups of beams, given beginnings and allowed outputs, against plain lists."""

import math
from dataclasses import replace
from itertools import product
from typing import Literal

import pytest
import torch
from tests.generation.test_search import (
    END,
    MOST,
    ROWS,
    SPECIAL,
    WORDS,
    log_probabilities,
    model_of,
    possible,
)
from tests.support.searches import all_outputs, first_outputs

from warmstart.constrained.trie import Trie
from warmstart.generation.generation_config import GenerationConfig
from warmstart.generation.row_inputs import RowInputs
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.sequences import Sequences


def next_logs(model: EncoderDecoder, source: list[int], row: list[int]) -> list[float]:
    with torch.no_grad():
        logits = model(Sequences.of([source]), Sequences.of([[SPECIAL.start, *row]]))
    return logits[-1].double().log_softmax(-1).tolist()  # type: ignore[no-any-return]


def diverse_beams(
    model: EncoderDecoder, source: list[int], options: GenerationConfig
) -> list[tuple[float, list[int]]]:
    """Vijayakumar et al. 2016, algorithm 1, on lists, each step from scratch.

    As in transformers 4, a group counts for those behind it up to the step in which it ends.
    """
    groups, size = options.num_beam_groups, options.num_beams // options.num_beam_groups
    running: list[list[tuple[float, list[int]]]] = [[(0.0, [])] for _ in range(groups)]
    ended: list[list[tuple[float, list[int]]]] = [[] for _ in range(groups)]
    done = [False] * groups
    for length in range(1, options.max_length):
        taken = [0] * WORDS
        for group in range(groups):
            candidates = sorted(
                (
                    (total + log - options.diversity_penalty * taken[token], [*row, token])
                    for total, row in running[group]
                    for token, log in enumerate(next_logs(model, source, row))
                ),
                key=lambda scored: -scored[0],
            )
            for total, row in candidates[:size]:
                if (row[-1] == END or length == options.max_length - 1) and not done[group]:
                    ended[group].append((total / length**options.length_penalty, row))
            ended[group] = sorted(ended[group], key=lambda scored: -scored[0])[:size]
            going = [scored for scored in candidates if scored[1][-1] != END][:size]
            running[group] = going
            best = going[0][0] / (options.max_length - 1) ** options.length_penalty
            full = len(ended[group]) == size
            if not done[group]:
                for _, row in going:
                    taken[row[-1]] += 1
            stops = options.early_stopping is True or best <= ended[group][-1][0] if full else False
            done[group] = done[group] or stops
    return sorted((found for group in ended for found in group), key=lambda scored: -scored[0])


@pytest.mark.parametrize("early_stopping", [True, "never"])
@pytest.mark.parametrize("penalty", [0.3, 1.5])
@pytest.mark.parametrize(("beams", "groups"), [(2, 2), (4, 2), (6, 3)])
def test_groups_of_beams(
    beams: int, groups: int, penalty: float, early_stopping: bool | Literal["never"]
) -> None:
    options = GenerationConfig(
        num_beams=beams,
        num_beam_groups=groups,
        diversity_penalty=penalty,
        num_return_sequences=beams,
        max_length=5,
        length_penalty=0.8,
        early_stopping=early_stopping,
    )
    for seed in range(2):
        model = model_of(seed)
        found = all_outputs(model, Sequences.of(ROWS), SPECIAL, options)
        for source, outputs in zip(ROWS, found, strict=True):
            expected = diverse_beams(model, source, options)
            assert [output.score for output in outputs] == pytest.approx(
                [score for score, _ in expected], abs=1e-5
            )
            assert [output.tokens for output in outputs] == [row for _, row in expected]


def test_a_group_by_itself_is_beam_search() -> None:
    """With a penalty that matters to nobody the groups find the same."""
    options = GenerationConfig(num_beams=4, max_length=7, num_return_sequences=2)
    grouped = replace(options, num_beam_groups=2, diversity_penalty=1e-9)
    two = replace(options, num_beams=2)
    for seed in range(3):
        model = model_of(seed)
        found = all_outputs(model, Sequences.of(ROWS), SPECIAL, grouped)
        alone = all_outputs(model, Sequences.of(ROWS), SPECIAL, two)
        for outputs, (first, _) in zip(found, alone, strict=True):
            assert [output.tokens for output in outputs] == [first.tokens] * 2


def test_a_high_penalty_makes_groups_begin_differently() -> None:
    options = GenerationConfig(
        num_beams=4,
        num_beam_groups=4,
        diversity_penalty=50.0,
        num_return_sequences=4,
        max_length=6,
        min_length=4,  # an end token goes on nowhere, so it costs the other groups nothing
    )
    for outputs in all_outputs(model_of(1), Sequences.of(ROWS), SPECIAL, options):
        assert len({output.tokens[0] for output in outputs}) == 4


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_the_best_of_all_outputs_in_their_order(length_penalty: float) -> None:
    model = model_of(1)
    options = GenerationConfig(
        max_length=4,
        num_beams=MOST,
        num_return_sequences=20,
        length_penalty=length_penalty,
        early_stopping="never",
    )
    rows = [
        list(row)
        for length in range(1, 4)
        for row in product(range(WORDS), repeat=length)
        if possible(list(row), SPECIAL.start, END, options)
    ]
    for source in ROWS[:2]:
        sums = log_probabilities(model, source, SPECIAL.start, rows)
        scored = sorted(
            (
                (total / len(row) ** length_penalty, row)
                for total, row in zip(sums, rows, strict=True)
            ),
            reverse=True,
        )[:20]
        (found,) = all_outputs(model, Sequences.of([source]), SPECIAL, options)
        assert [output.tokens for output in found] == [row for _, row in scored]
        for output, (score, _) in zip(found, scored, strict=True):
            assert output.score == pytest.approx(score, abs=1e-5)
            total = sum(output.token_scores)
            assert total / len(output.tokens) ** length_penalty == pytest.approx(output.score)


PREFIXES = [[2, 4], [], [3], [4, 4, 4]]


@pytest.mark.parametrize("beams", [1, 3])
def test_outputs_begin_with_what_is_given(beams: int) -> None:
    options = GenerationConfig(num_beams=beams, max_length=8, early_stopping="never")
    for seed in range(4):
        model = model_of(seed)
        inputs = RowInputs(prefixes=PREFIXES)
        found = all_outputs(model, Sequences.of(ROWS), SPECIAL, options, inputs=inputs, scored=True)
        for source, prefix, (output,) in zip(ROWS, PREFIXES, found, strict=True):
            given, own = output.tokens[: len(prefix)], output.tokens[len(prefix) :]
            assert given == prefix
            assert output.token_scores[: len(prefix)] == [0.0] * len(prefix)
            whole = log_probabilities(model, source, SPECIAL.start, [output.tokens])[0]
            before = log_probabilities(model, source, SPECIAL.start, [prefix])[0] if prefix else 0.0
            assert output.score == pytest.approx((whole - before) / len(own), abs=1e-5)


def test_the_best_continuation_of_what_is_given() -> None:
    model, prefix = model_of(1), [2, 4]
    options = GenerationConfig(max_length=6, num_beams=MOST, length_penalty=0.7)
    rows = [
        [*prefix, *row]
        for length in range(1, 4)
        for row in product(range(WORDS), repeat=length)
        if possible([*prefix, *row], SPECIAL.start, END, options)
    ]
    sums = log_probabilities(model, ROWS[0], SPECIAL.start, rows)
    before = log_probabilities(model, ROWS[0], SPECIAL.start, [prefix])[0]
    scores = [
        (total - before) / (len(row) - 2) ** 0.7 for total, row in zip(sums, rows, strict=True)
    ]
    inputs = RowInputs(prefixes=[prefix])
    (found,) = first_outputs(model, Sequences.of(ROWS[:1]), SPECIAL, options, inputs=inputs)
    assert found == rows[scores.index(max(scores))]


CHOICES = [[2, 3, END], [4, END], [2, 2, 2, END], [END], [3, 4, 3, 4, END]]


def test_the_best_of_the_allowed_outputs() -> None:
    for seed in range(3):
        model = model_of(seed)
        options = GenerationConfig(
            num_beams=8, num_return_sequences=8, max_length=8, early_stopping="never"
        )
        inputs = RowInputs(automaton=Trie(CHOICES, END, WORDS))
        found = all_outputs(model, Sequences.of(ROWS), SPECIAL, options, inputs=inputs)
        for source, outputs in zip(ROWS, found, strict=True):
            sums = log_probabilities(model, source, SPECIAL.start, CHOICES)
            scored = sorted(
                ((total / len(row), row) for total, row in zip(sums, CHOICES, strict=True)),
                reverse=True,
            )
            assert [output.tokens for output in outputs[:5]] == [row for _, row in scored]
            # There are five, so three of the eight asked for are none.
            assert [(output.tokens, output.score) for output in outputs[5:]] == [
                ([], -math.inf)
            ] * 3


@pytest.mark.parametrize(
    "changes", [{}, {"num_beams": 2}, {"do_sample": True}, {"no_repeat_ngram_size": 1}]
)
def test_nothing_but_the_allowed_outputs(changes: dict[str, int]) -> None:
    options = GenerationConfig(max_length=8, **changes)
    inputs = RowInputs(automaton=Trie(CHOICES, END, WORDS))
    found = [
        tuple(tokens)
        for seed in range(6)
        for tokens in first_outputs(
            model_of(seed), Sequences.of(ROWS), SPECIAL, options, inputs=inputs
        )
    ]
    assert set(found) <= set(map(tuple, CHOICES))
    assert len(set(found)) > 1
