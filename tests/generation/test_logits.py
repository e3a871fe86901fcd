"""What the options forbid is what transformers' processors forbid."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import MinLengthLogitsProcessor, NoRepeatNGramLogitsProcessor

from warmstart.generation.logits import constrain
from warmstart.generation.options import GenerationOptions

WORDS = 4


@st.composite
def rows(draw: st.DrawFn) -> list[list[int]]:
    length = draw(st.integers(1, 12))
    row = st.lists(st.integers(0, WORDS - 1), min_size=length, max_size=length)
    return draw(st.lists(row, min_size=1, max_size=3))


@given(written=rows(), size=st.integers(1, 5))
def test_repeated_ngrams(written: list[list[int]], size: int) -> None:
    scores = torch.randn(len(written), WORDS)
    theirs = NoRepeatNGramLogitsProcessor(size)(torch.tensor(written), scores.clone())
    options = GenerationOptions(no_repeat_ngram_size=size)
    ours = constrain(scores.clone(), written, 0, options)
    assert torch.equal(ours, theirs)


@given(written=rows(), least=st.integers(1, 12), end=st.integers(0, WORDS - 1))
def test_the_end_before_the_least_length(written: list[list[int]], least: int, end: int) -> None:
    scores = torch.randn(len(written), WORDS)
    processor = MinLengthLogitsProcessor(least, end)
    theirs = processor(torch.tensor(written), scores.clone())
    ours = constrain(scores.clone(), written, end, GenerationOptions(min_length=least))
    assert torch.equal(ours, theirs)


def test_nothing_is_forbidden_by_default() -> None:
    scores = torch.randn(2, WORDS)
    assert torch.equal(constrain(scores.clone(), [[1, 1], [1, 1]], 1, GenerationOptions()), scores)
