"""Greedy and beam outputs equal transformers' `generate`, token for token."""

from pathlib import Path

import pytest
from tests.parity.reference import random_pairs, rectangle, save_for_reference, teach
from tests.tiny import Checkpoints
from transformers import EncoderDecoderModel

from warmstart.generation.options import GenerationOptions
from warmstart.generation.search import search
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

SOURCES = [source for source, _ in random_pairs(seed=1, count=6)]
LONGEST = 20  # tokens, with the start token

GREEDY = (
    GenerationOptions(max_length=LONGEST),
    GenerationOptions(max_length=5),
    GenerationOptions(max_length=2),
    GenerationOptions(max_length=LONGEST, min_length=9),
    GenerationOptions(max_length=LONGEST, no_repeat_ngram_size=1),
    GenerationOptions(max_length=LONGEST, min_length=14, no_repeat_ngram_size=2),
)
BEAMS = tuple(
    GenerationOptions(
        max_length=LONGEST, num_beams=beams, length_penalty=penalty, early_stopping=early
    )
    for beams in (2, 4)
    for penalty in (0.5, 1.0, 2.0)
    for early in (False, True, "never")
)
BEAMS_AND_RULES = (
    GenerationOptions(max_length=6, num_beams=4),
    GenerationOptions(max_length=2, num_beams=3),
    GenerationOptions(max_length=LONGEST, num_beams=3, min_length=9),
    GenerationOptions(max_length=LONGEST, num_beams=3, min_length=LONGEST),
    GenerationOptions(max_length=LONGEST, num_beams=3, no_repeat_ngram_size=1),
    GenerationOptions(max_length=LONGEST, num_beams=4, no_repeat_ngram_size=2, min_length=12),
    GenerationOptions(max_length=LONGEST, num_beams=4, length_penalty=0.0),
    GenerationOptions(max_length=LONGEST, num_beams=4, length_penalty=-1.0),
    GenerationOptions(max_length=LONGEST, num_beams=4, length_penalty=-1.0, early_stopping="never"),
    GenerationOptions(
        max_length=12,
        num_beams=4,
        length_penalty=2.0,
        early_stopping=True,
        min_length=7,
        no_repeat_ngram_size=3,
    ),
)

Pair = tuple[Seq2Seq, EncoderDecoderModel]


# XLM-RoBERTa and CamemBERT are RoBERTa in all that decoding meets.
@pytest.fixture(scope="module", params=("bert", "roberta", "bert-generation", "gpt2"))
def pair(
    request: pytest.FixtureRequest,
    checkpoints: Checkpoints,
    tmp_path_factory: pytest.TempPathFactory,
) -> Pair:
    """A half-taught model with a decoder of each family, and the same in transformers."""
    decoder = str(request.param)
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints(decoder, seed=1))
    teach(model, steps=60 if decoder == "gpt2" else 25)
    return model, save_for_reference(model, tmp_path_factory.mktemp("taught") / decoder)


def test_greedy_search(pair: Pair) -> None:
    lengths = set()
    for options in GREEDY:
        ours, theirs = outputs(pair, options)
        assert ours == theirs, options
        lengths |= {*map(len, ours)}
    assert len(lengths) > 4, "outputs should end at different steps"


def test_beam_search(pair: Pair) -> None:
    found = set()
    for options in BEAMS:
        ours, theirs = outputs(pair, options)
        assert ours == theirs, options
        found.add(tuple(map(tuple, ours)))
    assert len(found) > 1, "the options should matter"


def test_beam_search_with_limits_and_forbidden_repetition(pair: Pair) -> None:
    for options in BEAMS_AND_RULES:
        ours, theirs = outputs(pair, options)
        assert ours == theirs, options


def outputs(pair: Pair, options: GenerationOptions) -> tuple[list[list[int]], list[list[int]]]:
    """Ours and theirs, without the start token and up to the end token."""
    model, reference = pair
    special = model.tokenizers.special
    sources = model.encode_sources(SOURCES)
    ids, mask = rectangle(sources, model.tokenizers.source.pad_token_id)
    written = reference.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=False,
        num_beams=options.num_beams,
        max_length=options.max_length,
        min_length=options.min_length,
        length_penalty=options.length_penalty,
        early_stopping=options.early_stopping,
        no_repeat_ngram_size=options.no_repeat_ngram_size,
        decoder_start_token_id=special.start,
        eos_token_id=special.end,
        pad_token_id=special.pad,
    ).tolist()
    ours = search(model.model, Sequences.of(sources), special, options)
    return ours, [up_to_end(row[1:], special.end) for row in written]


def up_to_end(row: list[int], end: int) -> list[int]:
    return row[: row.index(end) + 1] if end in row else row


def test_the_saved_settings_are_the_ones_that_transformers_uses(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("roberta"))
    teach(model, steps=25)
    model.generation = GenerationOptions(num_beams=3, max_length=15, length_penalty=0.5)
    reference = save_for_reference(model, tmp_path / "model")
    sources = model.encode_sources(SOURCES)
    ids, mask = rectangle(sources, model.tokenizers.source.pad_token_id)
    written = reference.generate(input_ids=ids, attention_mask=mask).tolist()
    theirs = model.tokenizers.decode(written)
    assert model.generate(SOURCES) == theirs
