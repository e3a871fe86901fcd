"""When a beam search may end, against transformers' rule for it."""

from typing import Literal

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import GenerationMixin

from warmstart.generation.beam import _Hypotheses
from warmstart.generation.options import GenerationOptions

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
    options = GenerationOptions(
        num_beams=BEAMS, max_length=MAX_LENGTH, length_penalty=penalty, early_stopping=early
    )
    ours = _Hypotheses(options)
    for log_probability, tokens in finished:
        ours.add(log_probability, [7] * tokens)
    ours.update_done(running, length)
    assert [score for score, _ in ours.best] == pytest.approx(scores)
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
    assert ours.done is not bool(goes_on)


def test_early_stopping_ends_with_the_last_place_filled() -> None:
    options = GenerationOptions(num_beams=2, max_length=MAX_LENGTH, early_stopping=True)
    ours = _Hypotheses(options)
    ours.add(-9.0, [7])
    ours.update_done(-0.1, 2)
    assert not ours.done
    ours.add(-8.0, [7, 7])
    ours.update_done(-0.1, 3)
    assert ours.done
