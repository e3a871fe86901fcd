"""Outputs in pieces, while they are written."""

import threading
from pathlib import Path

import pytest
from tests.parity.reference import teach
from tests.support.tiny import SENTENCES, Checkpoints

from warmstart.errors import UsageError
from warmstart.seq2seq import Seq2Seq


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def taught(request: pytest.FixtureRequest, checkpoints: Checkpoints) -> Seq2Seq:
    folder: Path = checkpoints(request.param)
    model = Seq2Seq.warm_start(encoder=folder, decoder=folder)
    teach(model, steps=20)
    return model


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_length": 6},
        {"do_sample": True, "temperature": 3.0, "seed": 4},
        {"prefix": "the cat", "no_repeat_ngram_size": 2},
        {"choices": ["the dog", "the cat"]},
        {"draft": "source"},
    ],
)
def test_pieces_are_what_generate_gives(taught: Seq2Seq, changes: dict[str, object]) -> None:
    for text in (*SENTENCES, "", "\U0001f468\u200d\U0001f469 שלום é"):
        pieces = list(taught.stream(text, **changes))
        assert "".join(pieces) == taught.generate([text], **changes)[0]
        assert all(pieces)


def test_a_long_source_in_pieces(taught: Seq2Seq) -> None:
    text = "The cat sat on the mat. " * 30
    for more in ({}, {"prefix": "the"}):
        changes = {"long": "chunk", "max_length": 9, **more}
        assert "".join(taught.stream(text, **changes)) == taught.generate([text], **changes)[0]


def test_who_stops_taking_stops_the_search(taught: Seq2Seq) -> None:
    before = threading.active_count()
    settings = {"min_length": 60, "max_length": 64}
    stream = taught.stream(SENTENCES[0], **settings)
    first = next(stream)
    assert threading.active_count() == before + 1
    stream.close()
    assert threading.active_count() == before
    assert taught.generate([SENTENCES[0]], **settings)[0].startswith(first)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_beams": 2}, "num_beams is 2, and a beam search knows its output only at the end"),
        ({"do_sample": True, "num_return_sequences": 2}, "a stream is of one output"),
        ({"prefix": "the cat " * 40}, "leaves room for"),
        ({"max_lenght": 3}, "did you mean 'max_length'"),
        ({"long": "error", "max_source_length": 4}, "Text 1 has"),
    ],
)
def test_what_is_refused(taught: Seq2Seq, changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        list(taught.stream(SENTENCES[0], **changes))
    with pytest.raises(UsageError, match="one text, not several"):
        taught.stream(SENTENCES)
