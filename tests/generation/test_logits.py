"""What the options forbid is what transformers' processors forbid."""

import math

import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers import (
    EncoderNoRepeatNGramLogitsProcessor,
    ForcedBOSTokenLogitsProcessor,
    ForcedEOSTokenLogitsProcessor,
    LogitNormalization,
    MinLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    PrefixConstrainedLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)

from warmstart.constrained.trie import Trie
from warmstart.generation.generation_config import NO_CONSTRAINTS, Constraints, GenerationConfig
from warmstart.generation.logits import LogitsProcessor
from warmstart.generation.row_inputs import NO_INPUTS, RowInputs

WORDS = 4


def constrain(
    scores: torch.Tensor,
    written: list[list[int]],
    end: int,
    options: GenerationConfig,
    constraints: Constraints = NO_CONSTRAINTS,
    inputs: RowInputs = NO_INPUTS,
) -> torch.Tensor:
    rules = LogitsProcessor(end, options, constraints, inputs, sources=len(written))
    for place in range(1, len(written[0])):
        rules.advance(torch.tensor(written)[:, place])
    return rules.apply(scores, torch.tensor(written))


@st.composite
def rows(draw: st.DrawFn) -> list[list[int]]:
    length = draw(st.integers(1, 12))
    row = st.lists(st.integers(0, WORDS - 1), min_size=length, max_size=length)
    return draw(st.lists(row, min_size=1, max_size=3))


@given(written=rows(), size=st.integers(1, 5))
def test_repeated_ngrams(written: list[list[int]], size: int) -> None:
    scores = torch.randn(len(written), WORDS)
    theirs = NoRepeatNGramLogitsProcessor(size)(torch.tensor(written), scores.clone())
    options = GenerationConfig(no_repeat_ngram_size=size)
    ours = constrain(scores.clone(), written, 0, options)
    assert torch.equal(ours, theirs)


@given(written=rows(), least=st.integers(1, 12), end=st.integers(0, WORDS - 1))
def test_the_end_before_the_least_length(written: list[list[int]], least: int, end: int) -> None:
    scores = torch.randn(len(written), WORDS)
    processor = MinLengthLogitsProcessor(least, end)
    theirs = processor(torch.tensor(written), scores.clone())
    ours = constrain(scores.clone(), written, end, GenerationConfig(min_length=least))
    assert torch.equal(ours, theirs)


def test_nothing_is_forbidden_by_default() -> None:
    scores = torch.randn(2, WORDS)
    assert torch.equal(constrain(scores.clone(), [[1, 1], [1, 1]], 1, GenerationConfig()), scores)


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
    ours = constrain(scores.clone(), written, end, GenerationConfig(), constraints)
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
    options = GenerationConfig(max_length=longest, min_length=longest)
    constraints = Constraints(
        forced_bos_token_id=2, forced_eos_token_id=3, renormalize_logits=renormalize
    )
    ours = constrain(scores.clone(), written, 3, options, constraints)
    assert torch.equal(ours, theirs)


@given(written=rows(), penalty=st.sampled_from([0.5, 1.2, 3.0]))
def test_tokens_that_are_written_cost_the_repetition_penalty(
    written: list[list[int]], penalty: float
) -> None:
    scores = torch.randn(len(written), WORDS)
    scores[0, 1] = -math.inf
    theirs = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor(written), scores.clone())
    ours = constrain(scores.clone(), written, 0, GenerationConfig(repetition_penalty=penalty))
    assert torch.equal(ours, theirs)


@given(data=st.data(), written=rows(), size=st.integers(1, 4), of_each=st.integers(1, 3))
def test_ngrams_of_the_source(
    data: st.DataObject, written: list[list[int]], size: int, of_each: int
) -> None:
    source = st.lists(st.integers(0, WORDS - 1), min_size=7, max_size=7)
    sources = data.draw(st.lists(source, min_size=len(written), max_size=len(written)))
    written = [row for row in written for _ in range(of_each)]
    scores = torch.randn(len(written), WORDS)
    processor = EncoderNoRepeatNGramLogitsProcessor(size, torch.tensor(sources))
    theirs = processor(torch.tensor(written), scores.clone())
    rules = LogitsProcessor(
        0,
        GenerationConfig(encoder_no_repeat_ngram_size=size),
        NO_CONSTRAINTS,
        RowInputs(source_rows=sources),
        sources=len(sources),
        copies=of_each,
    )
    assert torch.equal(rules.apply(scores.clone(), torch.tensor(written)), theirs)


def test_sources_of_different_lengths_and_none_of_the_size() -> None:
    options = GenerationConfig(encoder_no_repeat_ngram_size=3)
    inputs = RowInputs(source_rows=[[1, 2, 3, 0], [1], [2, 1, 2]])
    found = constrain(
        torch.zeros(3, WORDS), [[1, 2], [1, 2], [2, 1]], 0, options, NO_CONSTRAINTS, inputs
    )
    banned = [(0, 3), (2, 2)]
    assert [tuple(place) for place in found.isneginf().nonzero().tolist()] == banned
    inputs = RowInputs(source_rows=[[1], [2], [3]])
    found = constrain(
        torch.zeros(3, WORDS), [[1, 2], [1, 2], [2, 1]], 0, options, NO_CONSTRAINTS, inputs
    )
    assert not found.isneginf().any()


ALLOWED = [[1, 2, 0], [1, 0], [3, 3, 3, 0], [1, 2, 3, 0]]


@given(data=st.data())
def test_only_what_is_allowed_may_follow(data: st.DataObject) -> None:
    whole = data.draw(st.lists(st.sampled_from(ALLOWED), min_size=1, max_size=3))
    length = data.draw(st.integers(0, min(map(len, whole)) - 1))
    written = [[2, *row[:length]] for row in whole]
    longest = data.draw(st.sampled_from([0, 20]))  # 20: the end is forbidden, too

    def follow(_: int, tokens: torch.Tensor) -> list[int]:
        own = tokens[1:].tolist()
        return [row[len(own)] for row in ALLOWED if row[: len(own)] == own and row != own]

    scores = torch.randn(len(written), WORDS)
    theirs = scores.clone()
    if longest:
        theirs = MinLengthLogitsProcessor(longest, 0)(torch.tensor(written), theirs)
    theirs = PrefixConstrainedLogitsProcessor(follow, 1)(torch.tensor(written), theirs)
    inputs = RowInputs(automaton=Trie(ALLOWED, 0, WORDS))
    options = GenerationConfig(min_length=longest)
    assert torch.equal(
        constrain(scores.clone(), written, 0, options, NO_CONSTRAINTS, inputs), theirs
    )


def test_after_an_allowed_output_only_the_end_follows() -> None:
    trie = Trie(ALLOWED, 0, WORDS)
    assert trie.outputs == len(ALLOWED)
    nodes = torch.zeros(2, dtype=torch.long)
    for tokens in ([1, 3], [0, 2]):  # the first is whole, the second left the tree
        nodes = trie.advance(nodes, torch.tensor(tokens))
    for _ in range(2):
        assert trie.next_tokens(nodes, 1).tolist() == [[True, False, False, False]] * 2
        nodes = trie.advance(nodes, torch.tensor([0, 0]))


def test_what_is_given_is_certain_and_goes_before_all_else() -> None:
    inputs = RowInputs(prefixes=[[3, 1], [], [2]])
    constraints = Constraints(forced_bos_token_id=1, bad_words_ids=((3,),))
    options = GenerationConfig(max_length=9)
    first = constrain(torch.randn(3, WORDS), [[0]] * 3, 0, options, constraints, inputs)
    assert first.argmax(-1).tolist() == [3, 1, 2]
    assert first.exp().sum(-1).tolist() == [1, 1, 1]
    scores = torch.randn(3, WORDS)
    second = constrain(scores.clone(), [[0, 3], [0, 1], [0, 2]], 0, options, constraints, inputs)
    assert second[0].tolist() == [-math.inf, 0, -math.inf, -math.inf]
    scores[:, 3] = -math.inf
    assert torch.equal(second[1:], scores[1:])
