"""When a beam search may end, against transformers' rule for it."""

import math
from typing import Literal

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import GenerationMixin

from warmstart.generation.beam import Finished
from warmstart.generation.generation_config import GenerationConfig

MAX_LENGTH, BEAMS = 4, 3
log_probabilities = st.integers(1, 40).map(lambda tenths: -tenths / 10)


@settings(max_examples=400)
@given(
    finished=st.lists(
        st.tuples(log_probabilities, st.integers(1, MAX_LENGTH - 1)), min_size=1, max_size=6
    ),
    running=log_probabilities,
    length=st.integers(1, MAX_LENGTH - 1),
    penalty=st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]),
    early=st.sampled_from([False, "never"]),
)
def test_a_source_is_done_when_no_beam_can_do_better(
    finished: list[tuple[float, int]],
    running: float,
    length: int,
    penalty: float,
    early: Literal[False, "never"],
) -> None:
    scores = sorted((s / n**penalty for s, n in finished), reverse=True)[:BEAMS]
    for reach in (length, MAX_LENGTH - 1):  # a tie may be rounded either way
        assume(abs(running / reach**penalty - scores[-1]) > 1e-6)
    options = GenerationConfig(
        num_beams=BEAMS, max_length=MAX_LENGTH, length_penalty=penalty, early_stopping=early
    )
    ours = finished_of(options)
    for log_probability, tokens in finished:
        add(ours, log_probability, tokens)
    ours.update_done(torch.tensor([running]), length)
    held = ours.scores_BK[0].tolist()
    assert held == pytest.approx(scores + [-math.inf] * (BEAMS - len(scores)))
    places = BEAMS - len(scores)
    goes_on = GenerationMixin._check_early_stop_heuristic(
        is_early_stop_heuristic_unsatisfied=torch.tensor([[True]]),
        running_beam_scores=torch.tensor([[running] + [running - 1] * (BEAMS - 1)]).double(),
        beam_scores=torch.tensor([scores + [-1e9] * places]).double(),
        is_sent_finished=torch.tensor([[True] * len(scores) + [False] * places]),
        cur_len=length + 1,
        max_length=MAX_LENGTH,
        decoder_prompt_len=1,
        early_stopping=early,
        length_penalty=penalty,
    )
    assert bool(ours.done_B) is not bool(goes_on)


def test_early_stopping_ends_with_the_last_place_filled() -> None:
    options = GenerationConfig(num_beams=2, max_length=MAX_LENGTH, early_stopping=True)
    ours = finished_of(options)
    add(ours, -9.0, 1)
    ours.update_done(torch.tensor([-0.1]), 2)
    assert not ours.done_B
    add(ours, -8.0, 2)
    ours.update_done(torch.tensor([-0.1]), 3)
    assert ours.done_B
    add(ours, -0.1, 3)
    assert ours.scores_BK.max() < -1, "nothing is added behind the end"


def test_given_tokens_do_not_count_as_length() -> None:
    options = GenerationConfig(num_beams=2, max_length=9)
    ours = finished_of(options, given=3)
    add(ours, -8.0, 5)
    assert ours.scores_BK[0, 0] == -4.0


def finished_of(options: GenerationConfig, given: int = 0) -> Finished:
    return Finished(options.num_beams, options, torch.tensor([given]))


def add(ours: Finished, log_probability: float, tokens: int) -> None:
    """An output of so many tokens, the other places of its step empty."""
    beams = ours.scores_BK.shape[1]
    ours.add(
        torch.tensor([[True] + [False] * (beams - 1)]),
        torch.tensor([[log_probability] * beams]),
        torch.full((1, beams, tokens + 1), 7),
        torch.zeros(1, beams, tokens + 1),
    )
