"""Texts that are longer than the model reads: cut, decoded in pieces, or refused, as asked."""

import logging
import math

import pytest
from tests.parity.reference import teach
from tests.support.tiny import Checkpoints

from warmstart.errors import TextError, UsageError
from warmstart.seq2seq import Seq2Seq

# The tiny models read 64 tokens, the frame included.
PARTS = ["the cat sat on the mat. " * 8 + "The dog.", "She is big. " * 15 + "Two trees."]
LONG = " ".join(PARTS)


@pytest.fixture(scope="module")
def taught(checkpoints: Checkpoints) -> Seq2Seq:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("bert"))
    teach(model, steps=30)
    return model


def test_cut_with_a_warning_that_counts(taught: Seq2Seq, caplog: pytest.LogCaptureFixture) -> None:
    texts = ["she is big", LONG]
    outputs = taught.generate(texts, max_length=9)
    assert "1 of 2 sources are longer than 64 tokens and were truncated." in caplog.text
    details = taught.generate_detailed(texts, max_length=9)
    assert [[output.source_cut for output in found] for found in details] == [[False], [True]]
    assert outputs == [found[0].text for found in details]
    assert outputs[1] == taught.generate([" ".join(LONG.split()[:62])], max_length=9)[0]


def test_pieces_are_decoded_each_and_joined(
    taught: Seq2Seq, caplog: pytest.LogCaptureFixture
) -> None:
    short = ["she is big", "the cat"]
    pieces = taught.tokenizers.count_sources([LONG])[0] / 62
    with caplog.at_level(logging.WARNING):
        (a, long, b) = taught.generate_detailed([short[0], LONG, short[1]], long="chunk")
    assert not caplog.records
    assert [a[0].text, b[0].text] == taught.generate(short)
    assert (a[0].chunks, long[0].source_cut) == (1, False)
    assert long[0].chunks >= math.ceil(pieces)
    assert taught.generate([LONG], long="chunk") == [long[0].text]
    assert len(long[0].token_scores) == len(long[0].tokens)
    assert long[0].score == pytest.approx(sum(long[0].token_scores) / len(long[0].tokens))


def test_pieces_of_a_known_text(taught: Seq2Seq) -> None:
    sentence = "The cat sat on the mat and the dog slept on it."
    size = taught.tokenizers.count_sources([sentence])[0] - 2
    text = " ".join([sentence] * 5)
    expected = taught.generate([f"{sentence} {sentence}", sentence], max_length=9, num_beams=2)
    found = taught.generate_detailed(
        [text], max_length=9, num_beams=2, num_return_sequences=2, long="chunk",
        max_source_length=2 * size + 2,
    )  # fmt: skip
    assert [output.chunks for output in found[0]] == [3, 3]
    assert found[0][0].text == " ".join([expected[0], expected[0], expected[1]])


def test_a_prefix_begins_the_whole_output(taught: Seq2Seq) -> None:
    (found,) = taught.generate([LONG], long="chunk", prefix="the cat")
    assert found.startswith("the cat")


def test_refused(taught: Seq2Seq) -> None:
    with pytest.raises(TextError, match=r"Text 2 has .* tokens, and the model reads 64; shorten"):
        taught.generate(["the cat", LONG], long="error")
    assert taught.generate(["the cat"], long="error") == taught.generate(["the cat"])


@pytest.mark.parametrize("changes", [{"choices": ["the cat"]}, {"alignments": "mean"}])
def test_what_is_of_a_text_as_a_whole(taught: Seq2Seq, changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="is given and long is 'chunk'"):
        taught.generate_detailed(["the cat"], long="chunk", **changes)
