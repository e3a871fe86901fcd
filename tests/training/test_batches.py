"""Examples to packed batches, and the order in which they come."""

import logging
from dataclasses import replace

import pytest
import torch
from tests.support.tiny import Checkpoints
from tests.training.runs import copying_examples, seq2seq

from warmstart.data.example import Example
from warmstart.seq2seq import Seq2Seq
from warmstart.training.batches import (
    TokenizedExample,
    TokenizedExamples,
    collate,
    sequences,
)


@pytest.fixture(scope="module")
def model(checkpoints: Checkpoints) -> Seq2Seq:
    return seq2seq(checkpoints("bert"))


@pytest.fixture(scope="module")
def many(model: Seq2Seq) -> TokenizedExamples:
    return TokenizedExamples(model, copying_examples(1000), None, None)


def test_the_decoder_reads_the_start_and_learns_the_end(model: Seq2Seq) -> None:
    (example,) = TokenizedExamples(model, [Example("a cat", ("the dog", "other"))], None, None)
    tokenizer, special = model.tokenizers.target, model.tokenizers.special
    assert example.source == tokenizer("a cat")["input_ids"]
    words = tokenizer("the dog", add_special_tokens=False)["input_ids"]
    assert example.inputs == [special.start, *words]
    assert example.labels == [*words, special.end]


def test_an_end_token_is_never_masked(checkpoints: Checkpoints) -> None:
    """GPT-2's end is its start and its pad: it is a label like any other."""
    gpt2 = Seq2Seq.warm_start(encoder=None, decoder=checkpoints("gpt2"))
    examples = TokenizedExamples(gpt2, copying_examples(9), None, None)
    batch = collate(examples)
    assert batch["labels"].numel() == sum(len(example.labels) for example in examples)
    assert (batch["labels"] == gpt2.tokenizers.special.end).sum() == 9
    assert (batch["labels"] >= 0).all()


def test_truncated_examples_are_counted_in_a_warning(
    model: Seq2Seq, caplog: pytest.LogCaptureFixture
) -> None:
    examples = copying_examples(50)
    words = [len(example.source.split()) for example in examples]
    with caplog.at_level(logging.WARNING):
        cut = TokenizedExamples(model, examples, 6, 4)
    sources = sum(count + 2 > 6 for count in words)
    targets = sum(count + 1 > 4 for count in words)
    assert f"{sources} of 50 sources are longer than 6 tokens and were truncated." in caplog.text
    assert f"{targets} of 50 targets are longer than 4 tokens and were truncated." in caplog.text
    assert max(len(row.source) for row in cut) == 6
    assert max(len(row.labels) for row in cut) == 4
    assert all(row.labels[-1] == model.tokenizers.special.end for row in cut)
    assert len(cut) == 50


def test_positions_limit_what_no_option_limits(
    model: Seq2Seq, caplog: pytest.LogCaptureFixture
) -> None:
    long = Example("the " * 100, ("cat " * 100,))
    with caplog.at_level(logging.WARNING):
        (example,) = TokenizedExamples(model, [long], 500, None)
    assert len(example.source) == len(example.labels) == len(example.inputs) == 64
    assert "1 of 1 sources are longer than 64 tokens" in caplog.text
    assert "1 of 1 targets are longer than 64 tokens" in caplog.text


def test_a_batch_holds_its_examples_packed(many: TokenizedExamples) -> None:
    chosen = [many[index] for index in (3, 77, 500, 4)]
    source, target = sequences(collate(chosen))
    batch = collate(chosen)
    unpacked = [
        TokenizedExample(*(part.tolist() for part in parts))
        for parts in zip(
            source.tokens.split(source.lengths),
            target.tokens.split(target.lengths),
            batch["labels"].split(target.lengths),
            strict=True,
        )
    ]

    def key(example: TokenizedExample) -> tuple[list[int], list[int]]:
        return example.source, example.labels

    assert sorted(unpacked, key=key) == sorted(chosen, key=key)
    assert list(source.lengths) == sorted(source.lengths)


def test_lengths_are_those_of_both_sides(model: Seq2Seq) -> None:
    example = copying_examples(1)[0]
    longer = replace(example, targets=(example.target + " cat cat",))
    rows = TokenizedExamples(model, [longer, example], None, None)
    second, first = rows.lengths(torch.tensor([1, 0])).tolist()
    assert first[0] == second[0]
    assert first[1] == second[1] + 2
