import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tiny import FAMILIES, WORDS, tokenizer_of

from warmstart.errors import TextError, UsageError
from warmstart.text.long_sources import (
    Chunks,
    check_limit,
    check_overlap,
    chunk_long,
    prefixes_per_chunk,
    refuse_long,
)

TOKENIZERS = {family: tokenizer_of(family) for family in FAMILIES}


def words_and_frame(texts: Sequence[str]) -> list[int]:
    """Counts as a tokenizer does that takes a word for a token, and frames a text by two."""
    return [len(text.split()) + 2 for text in texts]


def bytes_of(texts: Sequence[str]) -> list[int]:
    return [len(text.encode()) for text in texts]


def document(sentences: int, seed: int) -> str:
    dice = random.Random(seed)
    return " ".join(
        " ".join(dice.choices(WORDS, k=dice.randint(2, 9))).capitalize() + dice.choice(".!?")
        for _ in range(sentences)
    )


def test_short_texts_stay_as_they_are() -> None:
    texts = [" a b ", "", "c. D."]
    assert chunk_long(texts, 5, words_and_frame) == Chunks(texts, [0, 1, 2])
    assert chunk_long([document(500, 0)], None, words_and_frame).owners == [0]


def test_pieces_end_where_sentences_do_and_are_as_full_as_can_be() -> None:
    text = "Aa bb cc. Dd ee. Ff gg hh ii. Jj kk."
    pieces = chunk_long(["x", text, "y"], 7, words_and_frame)
    assert pieces == Chunks(
        ["x", "Aa bb cc. Dd ee.", "Ff gg hh ii.", "Jj kk.", "y"], [0, 1, 1, 1, 2]
    )
    assert pieces.span(1) == (1, 3)


def test_the_next_piece_begins_with_the_last_sentences() -> None:
    text = "Aa bb cc. Dd. Ee ff. Gg hh. Ii jj kk."
    pieces = chunk_long([text], 8, words_and_frame, overlap=3)
    assert pieces.texts == [
        "Aa bb cc. Dd. Ee ff.",
        "Dd. Ee ff. Gg hh.",
        "Gg hh. Ii jj kk.",
    ]


def test_a_sentence_that_is_too_long_ends_at_a_word_and_a_word_anywhere() -> None:
    assert chunk_long(["a b c d e"], 4, words_and_frame).texts == ["a b", "c d", "e"]
    assert chunk_long(["x" * 10], 3, bytes_of).texts == ["xx", "xxx", "xx", "xxx"]
    # Not between a letter and its accent, nor within a joined emoji.
    family = "\U0001f469\u200d\U0001f467"
    pieces = chunk_long([family * 4], 24, bytes_of).texts
    assert "".join(pieces) == family * 4
    assert all(len(piece) % len(family) == 0 for piece in pieces)


@given(st.text(max_size=300), st.integers(8, 40))
def test_nothing_is_lost_whatever_the_text(text: str, limit: int) -> None:
    pieces = chunk_long([text], limit, bytes_of).texts
    assert all(size <= limit for size in bytes_of(pieces)) or len(text) == 1
    assert "".join("".join(pieces).split()) == "".join(text.split())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("overlap", [0, 8])
def test_pieces_of_a_real_tokenizer_fit(family: str, overlap: int) -> None:
    tokenizer = TOKENIZERS[family]

    def count(texts: Sequence[str]) -> list[int]:
        return [len(row) for row in tokenizer(list(texts))["input_ids"]]

    text = document(60, seed=3)
    pieces = chunk_long([text], 24, count, overlap=overlap).texts
    assert max(count(pieces)) <= 24
    assert set(text.split()) == {word for piece in pieces for word in piece.split()}
    if not overlap:
        assert " ".join(pieces) == text


def test_a_hundred_thousand_characters() -> None:
    for text in ("x" * 100_000, "ab " * 33_333, " " * 100_000 + "y"):
        pieces = chunk_long([text], 512, bytes_of).texts
        assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
        assert max(bytes_of(pieces)) <= 512


def test_refusing() -> None:
    refuse_long(["a b"], None, words_and_frame)
    refuse_long(["a b"], 4, words_and_frame)
    with pytest.raises(TextError, match="Text 2 has 5 tokens, and the model reads 4"):
        refuse_long(["a", "a b c"], 4, words_and_frame)


def test_an_overlap_of_more_than_half() -> None:
    check_overlap(5, 10)
    check_overlap(6, None)
    with pytest.raises(UsageError, match="at most half of that, 5"):
        check_overlap(6, 10)


def test_a_limit_that_leaves_no_room() -> None:
    check_limit(3, 2)
    with pytest.raises(UsageError, match=r"max_source_length is 2, .* it must be at least 3"):
        check_limit(2, 2)


def test_a_prefix_begins_the_first_piece_only() -> None:
    pieces = Chunks(["a", "b", "c"], [0, 0, 1])
    assert prefixes_per_chunk("x", pieces) == ["x", "", "x"]
    assert prefixes_per_chunk(["x", "y"], pieces) == ["x", "", "y"]
    assert prefixes_per_chunk(None, pieces) is None
    assert prefixes_per_chunk("x", Chunks(["a", "b"], [0, 1])) == "x"
