"""Outputs of an uncased tokenizer of word pieces with the case and spaces of their sources."""

import pytest
from tests.support.tiny import tokenizer_of
from tests.text.test_round_trip import uncased
from tests.text.tokenizers import KINDS

from warmstart.text.detokenize import can_detokenize, detokenize, lowers_case
from warmstart.text.tokenizer_pair import TokenizerPair


def restored(source: str, target: str) -> str:
    """A target that only its tokens are known of, and its source."""
    tokenizer = uncased()
    pair = TokenizerPair.of(tokenizer, tokenizer, {})
    (text,) = detokenize(pair, source, pair.encode_targets([target], None).rows)
    return text


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Although C++ won't run, Äpfel do.", "C++ won't run. Äpfel do."),  # copied
        ("Because Ann left, Bo came.", "Ann left. Because of it, Bo came."),  # and begun anew
        ("The cat sat, and the dog ran.", "The cat sat. The dog ran."),
        ("The cat sat on Main Street.", "On Main Street, the cat sat."),  # moved
        ("It is fine 🙂 with ₿ too.", "It is fine 🙂. It is with ₿ too."),  # unknown words
        ("a lower - case text , apart .", "text , apart ."),  # spaces as the source has them
        ("X.", "A ten-year-old isn't at 10.5."),  # by rule alone
        ("X.", "He won't, they're here, I'm his."),
    ],
)
def test_case_and_spaces_come_back(source: str, target: str) -> None:
    assert restored(source, target) == target


def test_unknown_words_that_no_source_explains_are_left_out() -> None:
    assert restored("A cat.", "A 🙂 cat.") == "A cat."


def test_nothing_comes_of_nothing() -> None:
    assert restored("A cat.", "") == ""
    assert restored("", "a cat") == "a cat"


def test_where_it_is_of_use() -> None:
    assert can_detokenize(uncased())
    assert lowers_case(uncased())
    for kind in ("bert", "gpt2", "roberta"):  # words, bytes
        assert not can_detokenize(tokenizer_of(kind))
    assert not can_detokenize(KINDS["byte level"]())
