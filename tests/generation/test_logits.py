"""What the options forbid is what transformers' processors forbid."""

import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers import (
    ForcedBOSTokenLogitsProcessor,
    ForcedEOSTokenLogitsProcessor,
    LogitNormalization,
    MinLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
)

from warmstart.generation.logits import constrain
from warmstart.generation.options import Constraints, GenerationOptions

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


SEQUENCES = st.lists(
    st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=3),
    min_size=1,
    max_size=3,
    unique_by=tuple,
)


@given(written=rows(), words=SEQUENCES, end=st.integers(0, WORDS - 1))
def test_words_that_are_never_written(
    written: list[list[int]], words: list[list[int]], end: int
) -> None:
    assume(words != [[end]])
    scores = torch.randn(len(written), WORDS)
    processor = NoBadWordsLogitsProcessor(words, eos_token_id=end)
    theirs = processor(torch.tensor(written), scores.clone())
    constraints = Constraints(bad_words_ids=tuple(map(tuple, words)))
    ours = constrain(scores.clone(), written, end, GenerationOptions(), constraints)
    assert torch.equal(ours, theirs)


@given(written=rows(), longest=st.integers(2, 12), renormalize=st.booleans())
def test_forced_tokens(written: list[list[int]], longest: int, renormalize: bool) -> None:
    assume(len(written[0]) < longest)
    scores = torch.randn(len(written), WORDS).log_softmax(-1)
    tokens = torch.tensor(written)
    theirs = MinLengthLogitsProcessor(longest, 3)(tokens, scores.clone())
    theirs = ForcedBOSTokenLogitsProcessor(2)(tokens, theirs)
    theirs = ForcedEOSTokenLogitsProcessor(longest, 3, device="cpu")(tokens, theirs)
    if renormalize:
        theirs = LogitNormalization()(tokens, theirs)
    options = GenerationOptions(max_length=longest, min_length=longest)
    constraints = Constraints(
        forced_bos_token_id=2, forced_eos_token_id=3, renormalize_logits=renormalize
    )
    ours = constrain(scores.clone(), written, 3, options, constraints)
    assert torch.equal(ours, theirs)
