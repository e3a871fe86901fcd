"""Pairs of rules, ways to search and shapes of batches against transformers, token for token."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
from tests.parity.reference import random_pairs, rectangle, save_for_reference, teach
from tests.parity.test_generation import settings, up_to_end
from tests.support.searches import all_outputs
from tests.support.tiny import Checkpoints

from warmstart.generation.generation_config import Constraints, GenerationConfig
from warmstart.generation.row_inputs import RowInputs
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

LONGEST = 14
BAD = ((9,), (7, 12), (15, 8, 8))
RULES: tuple[Mapping[str, Any], ...] = (
    {"repetition_penalty": 1.4},
    {"no_repeat_ngram_size": 2},
    {"encoder_no_repeat_ngram_size": 2},
    {"min_length": 8},
    {"forced_bos_token_id": 11},
    {"forced_eos_token_id": 3},
    {"bad_words_ids": BAD},
)
WAYS: tuple[Mapping[str, Any], ...] = (
    {},
    {"num_beams": 3, "length_penalty": 0.6, "num_return_sequences": 2},
    {"num_beams": 4, "early_stopping": True},
    {"num_beams": 2, "length_penalty": 2.0, "early_stopping": "never"},
)
SHAPES = (1, 3, 8)  # sources of a batch


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "decoder"), [("bert", "bert"), ("bert", "gpt2")])
def test_pairs_of_rules(
    encoder: str, decoder: str, checkpoints: Checkpoints, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints(encoder), decoder=checkpoints(decoder, seed=1))
    teach(model, steps=30)
    reference = save_for_reference(model, tmp_path_factory.mktemp("grid") / decoder)
    special, pad = model.tokenizers.special, model.tokenizers.source.pad_token_id
    uneven = model.encode_sources([source for source, _ in random_pairs(seed=3, count=40)])
    even = [[*row[:5], row[-1]] for row in uneven if len(row) > 5]
    found, count = set(), 0
    for number, pair in enumerate(combinations(RULES, 2)):
        rules = {**pair[0], **pair[1]}
        for way_number, way in enumerate(WAYS):
            size = SHAPES[(number + way_number) % len(SHAPES)]
            # transformers takes padding for n-grams of the source, so none is there then.
            padded = number % 2 == 0 and "encoder_no_repeat_ngram_size" not in rules
            sources = (uneven if padded else even)[number : number + size]
            of_model = {key: rules[key] for key in rules if key in Constraints.__slots__}
            options = GenerationConfig(
                max_length=LONGEST,
                **{key: rules[key] for key in rules if key not in of_model},
                **way,
            )
            ids, mask = rectangle(sources, pad)
            theirs = reference.generate(
                input_ids=ids,
                attention_mask=mask,
                **settings(options, model),
                num_return_sequences=options.num_return_sequences,
                **{key: [*map(list, BAD)] if key == "bad_words_ids" else of_model[key]
                   for key in of_model},
            ).tolist()  # fmt: skip
            outputs = all_outputs(
                model.model,
                Sequences.of(sources),
                special,
                options,
                Constraints(**of_model),
                RowInputs(source_rows=sources, draft_rows=sources),
            )
            ours = [output.tokens for of_source in outputs for output in of_source]
            assert ours == [up_to_end(row[1:], special.end) for row in theirs], (rules, way)
            found |= {*map(tuple, ours)}
            count += len(ours)
    assert len(found) > count / 4, "the rules should matter"
