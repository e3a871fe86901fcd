"""Packed batches and their rectangles."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from warmstart.model.sequences import Sequences, pad, unpad

ROWS = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=6), min_size=1, max_size=6)


@given(ROWS)
def test_rows_stand_one_after_the_other(rows: list[list[int]]) -> None:
    sequences = Sequences.of(rows)
    assert [part.tolist() for part in sequences.tokens.split(sequences.lengths)] == rows
    expected = [place for row in rows for place in range(len(row))]
    assert sequences.positions().tolist() == expected


@given(ROWS)
def test_padding_is_undone(rows: list[list[int]]) -> None:
    sequences = Sequences.of(rows)
    padded = pad(sequences.tokens, sequences.lengths)
    longest = max(map(len, rows))
    assert padded.tolist() == [row + [0] * (longest - len(row)) for row in rows]
    assert torch.equal(unpad(padded, sequences.lengths), sequences.tokens)


def test_lengths_that_do_not_add_up_are_a_bug_of_ours() -> None:
    with pytest.raises(AssertionError):
        Sequences(torch.arange(5), (2, 2))
