"""Greedy and beam outputs equal transformers' `generate`, token for token."""

from pathlib import Path

import pytest
import torch
import transformers
from tests.parity.reference import random_pairs, rectangle, save_for_reference, teach
from tests.support.searches import all_outputs, first_outputs
from tests.support.tiny import Checkpoints
from transformers import EncoderDecoderModel, RepetitionPenaltyLogitsProcessor

from warmstart.constrained.trie import Trie
from warmstart.generation.generation_config import GenerationConfig
from warmstart.generation.hypothesis import Hypothesis
from warmstart.generation.row_inputs import RowInputs
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

SOURCES = [source for source, _ in random_pairs(seed=1, count=6)]
LONGEST = 20  # tokens, with the start token

GREEDY = (
    GenerationConfig(max_length=LONGEST),
    GenerationConfig(max_length=5),
    GenerationConfig(max_length=2),
    GenerationConfig(max_length=LONGEST, min_length=9),
    GenerationConfig(max_length=LONGEST, no_repeat_ngram_size=1),
    GenerationConfig(max_length=LONGEST, min_length=14, no_repeat_ngram_size=2),
)
BEAMS = tuple(
    GenerationConfig(
        max_length=LONGEST, num_beams=beams, length_penalty=penalty, early_stopping=early
    )
    for beams in (2, 4)
    for penalty in (0.5, 1.0, 2.0)
    for early in (False, True, "never")
)
BEAMS_AND_RULES = (
    GenerationConfig(max_length=6, num_beams=4),
    GenerationConfig(max_length=2, num_beams=3),
    GenerationConfig(max_length=LONGEST, num_beams=3, min_length=9),
    GenerationConfig(max_length=LONGEST, num_beams=3, min_length=LONGEST),
    GenerationConfig(max_length=LONGEST, num_beams=3, no_repeat_ngram_size=1),
    GenerationConfig(max_length=LONGEST, num_beams=4, no_repeat_ngram_size=2, min_length=12),
    GenerationConfig(max_length=LONGEST, num_beams=4, length_penalty=0.0),
    GenerationConfig(max_length=LONGEST, num_beams=4, length_penalty=-1.0),
    GenerationConfig(max_length=LONGEST, num_beams=4, length_penalty=-1.0, early_stopping="never"),
    GenerationConfig(
        max_length=12,
        num_beams=4,
        length_penalty=2.0,
        early_stopping=True,
        min_length=7,
        no_repeat_ngram_size=3,
    ),
)

RULES = (
    GenerationConfig(max_length=LONGEST, repetition_penalty=1.6),
    GenerationConfig(max_length=LONGEST, repetition_penalty=0.7, no_repeat_ngram_size=3),
    GenerationConfig(max_length=LONGEST, encoder_no_repeat_ngram_size=1, min_length=6),
    GenerationConfig(max_length=LONGEST, encoder_no_repeat_ngram_size=2, repetition_penalty=1.2),
    GenerationConfig(max_length=LONGEST, num_beams=4, repetition_penalty=1.6),
    GenerationConfig(max_length=LONGEST, num_beams=3, encoder_no_repeat_ngram_size=2),
    GenerationConfig(
        max_length=LONGEST,
        num_beams=4,
        repetition_penalty=1.3,
        encoder_no_repeat_ngram_size=2,
        no_repeat_ngram_size=2,
        length_penalty=2.0,
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


def test_penalties_and_ngrams_of_the_source(pair: Pair) -> None:
    """The source's ids are taken as the target's here, as transformers does.

    The sources are equally long: its padding would be n-grams of the source, too.
    """
    found = set()
    sources = [[*row[:4], row[-1]] for row in pair[0].encode_sources(SOURCES) if len(row) > 4]
    for options in RULES:
        ours, theirs = outputs(pair, options, sources)
        assert ours == theirs, options
        found.add(tuple(map(tuple, ours)))
    assert len(found) > 3, "the options should matter"


def test_several_outputs_with_their_scores(pair: Pair) -> None:
    model, reference = pair
    special, sources = model.tokenizers.special, model.encode_sources(SOURCES)
    ids, mask = rectangle(sources, model.tokenizers.source.pad_token_id)
    for options in (
        GenerationConfig(max_length=LONGEST, num_beams=4, num_return_sequences=4),
        GenerationConfig(
            max_length=12, num_beams=3, num_return_sequences=2, length_penalty=0.4,
            repetition_penalty=1.2, early_stopping="never",
        ),
    ):  # fmt: skip
        theirs = reference.generate(
            input_ids=ids,
            attention_mask=mask,
            **settings(options, model),
            num_return_sequences=options.num_return_sequences,
            output_scores=True,
            return_dict_in_generate=True,
        )
        ours = flat(all_outputs(model.model, Sequences.of(sources), special, options))
        tokens = [up_to_end(row[1:], special.end) for row in theirs.sequences.tolist()]
        assert [output.tokens for output in ours] == tokens
        scores = torch.tensor([output.score for output in ours])
        torch.testing.assert_close(scores, theirs.sequences_scores, rtol=0, atol=1e-5)
        steps = reference.compute_transition_scores(
            theirs.sequences, theirs.scores, theirs.beam_indices
        )
        for output, by_step in zip(ours, steps.tolist(), strict=True):
            expected = by_step[: len(output.tokens)]
            assert output.token_scores == pytest.approx(expected, abs=1e-4)


def test_greedy_scores(pair: Pair) -> None:
    model, reference = pair
    special, sources = model.tokenizers.special, model.encode_sources(SOURCES)
    ids, mask = rectangle(sources, model.tokenizers.source.pad_token_id)
    options = GenerationConfig(max_length=LONGEST, repetition_penalty=1.2)
    theirs = reference.generate(
        input_ids=ids,
        attention_mask=mask,
        **settings(options, model),
        output_scores=True,
        return_dict_in_generate=True,
    )
    steps = reference.compute_transition_scores(
        theirs.sequences, theirs.scores, normalize_logits=True
    )
    ours = flat(all_outputs(model.model, Sequences.of(sources), special, options, scored=True))
    for output, expected in zip(ours, steps.tolist(), strict=True):
        own = expected[: len(output.tokens)]
        assert output.token_scores == pytest.approx(own, abs=1e-5)
        assert output.score == pytest.approx(sum(own) / len(own), abs=1e-5)


def test_given_beginnings(pair: Pair) -> None:
    model, reference = pair
    special, sources = model.tokenizers.special, model.encode_sources(SOURCES)
    prefixes = [row[: 1 + place] for place, row in enumerate(model.encode_targets(SOURCES[:3]))]
    for options in (
        GenerationConfig(max_length=LONGEST, min_length=8),
        GenerationConfig(max_length=LONGEST, num_beams=3, length_penalty=2.0),
        GenerationConfig(max_length=LONGEST, num_beams=3, early_stopping="never"),
        GenerationConfig(max_length=9, num_beams=2, repetition_penalty=1.3),
    ):
        ours = first_outputs(
            model.model,
            Sequences.of(sources[:3]),
            special,
            options,
            inputs=RowInputs(prefixes=prefixes),
        )
        for source, prefix, output in zip(sources, prefixes, ours, strict=False):
            (theirs,) = reference.generate(
                input_ids=torch.tensor([source]),
                decoder_input_ids=torch.tensor([[special.start, *prefix]]),
                **settings(options, model),
            ).tolist()
            behind = up_to_end(theirs[1 + len(prefix) :], special.end)
            assert output == [*prefix, *behind]


def test_allowed_outputs(pair: Pair) -> None:
    model, reference = pair
    special, sources = model.tokenizers.special, model.encode_sources(SOURCES)
    allowed = model.encode_targets([target for _, target in random_pairs(seed=0, count=9)])

    def follow(_: int, tokens: torch.Tensor) -> list[int]:
        own = tokens[1:].tolist()
        found = [row[len(own)] for row in allowed if row[: len(own)] == own and row != own]
        return found or [special.end]

    ids, mask = rectangle(sources, model.tokenizers.source.pad_token_id)
    vocabulary = model.model.config.decoder.embedding.vocabulary
    for beams in (1, 4):
        options = GenerationConfig(max_length=1 + max(map(len, allowed)), num_beams=beams)
        written = reference.generate(
            input_ids=ids,
            attention_mask=mask,
            prefix_allowed_tokens_fn=follow,
            **settings(options, model),
        ).tolist()
        inputs = RowInputs(automaton=Trie(allowed, special.end, vocabulary))
        ours = first_outputs(model.model, Sequences.of(sources), special, options, inputs=inputs)
        assert ours == [up_to_end(row[1:], special.end) for row in written]
        assert all(row in allowed for row in ours)


def test_alignments(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for decoder in ("bert", "gpt2"):
        model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints(decoder))
        teach(model, steps=25)
        save_for_reference(model, tmp_path / decoder)
        reference = EncoderDecoderModel.from_pretrained(
            tmp_path / decoder, attn_implementation="eager"
        ).eval()
        for layers in ("mean", "last"):
            found = model.generate_detailed(SOURCES, max_length=9, alignments=layers)
            for source, (output,) in zip(model.encode_sources(SOURCES), found, strict=True):
                inputs = [model.tokenizers.special.start, *output.tokens[:-1]]
                with torch.no_grad():
                    attentions = reference(
                        input_ids=torch.tensor([source]),
                        decoder_input_ids=torch.tensor([inputs]),
                        output_attentions=True,
                    ).cross_attentions
                by_layer = torch.cat(attentions).mean(1)
                theirs = by_layer.mean(0) if layers == "mean" else by_layer[-1]
                assert output.alignment is not None
                torch.testing.assert_close(output.alignment.weights, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_llama_with_its_source_as_prefix(
    beams: int, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """LogitsProcessor look at the output alone, so theirs is told to leave the source out."""
    model = Seq2Seq.warm_start(encoder=None, decoder=checkpoints("llama"))
    teach(model, steps=40)
    model.save_pretrained(tmp_path / "model")
    reference = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "model").eval()
    special, sources = model.tokenizers.special, model.encode_sources(SOURCES[:4])
    options = GenerationConfig(
        max_length=12, num_beams=beams, repetition_penalty=1.4, early_stopping="never"
    )
    ours = first_outputs(model.model, Sequences.of(sources), special, options)
    for source, output in zip(sources, ours, strict=True):
        prompt = torch.tensor([[*source, special.start]])
        written = reference.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            num_beams=beams,
            max_new_tokens=11,
            early_stopping="never",
            eos_token_id=special.end,
            pad_token_id=special.pad,
            logits_processor=[
                RepetitionPenaltyLogitsProcessor(1.4, prompt_ignore_length=len(source))
            ],
        )
        assert output == up_to_end(written[0, prompt.shape[1] :].tolist(), special.end)


def flat(found: list[list[Hypothesis]]) -> list[Hypothesis]:
    return [output for outputs in found for output in outputs]


def settings(options: GenerationConfig, model: Seq2Seq) -> dict[str, object]:
    """What transformers is told."""
    special = model.tokenizers.special
    return {
        "do_sample": False,
        "num_beams": options.num_beams,
        "max_length": options.max_length,
        "min_length": options.min_length,
        "length_penalty": options.length_penalty,
        "early_stopping": options.early_stopping,
        "no_repeat_ngram_size": options.no_repeat_ngram_size,
        "encoder_no_repeat_ngram_size": options.encoder_no_repeat_ngram_size,
        "repetition_penalty": options.repetition_penalty,
        "decoder_start_token_id": special.start,
        "eos_token_id": special.end,
        "pad_token_id": special.pad,
    }


def outputs(
    pair: Pair, options: GenerationConfig, sources: list[list[int]] | None = None
) -> tuple[list[list[int]], list[list[int]]]:
    """Ours and theirs, without the start token and up to the end token."""
    model, reference = pair
    special = model.tokenizers.special
    sources = sources or model.encode_sources(SOURCES)
    ids, mask = rectangle(sources, model.tokenizers.source.pad_token_id)
    written = reference.generate(
        input_ids=ids, attention_mask=mask, **settings(options, model)
    ).tolist()
    inputs = RowInputs(source_rows=sources)
    ours = first_outputs(model.model, Sequences.of(sources), special, options, inputs=inputs)
    return ours, [up_to_end(row[1:], special.end) for row in written]


def up_to_end(row: list[int], end: int) -> list[int]:
    return row[: row.index(end) + 1] if end in row else row


def test_the_saved_settings_are_the_ones_that_transformers_uses(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("roberta"))
    teach(model, steps=25)
    model.generation = GenerationConfig(num_beams=3, max_length=15, length_penalty=0.5)
    reference = save_for_reference(model, tmp_path / "model")
    sources = model.encode_sources(SOURCES)
    ids, mask = rectangle(sources, model.tokenizers.source.pad_token_id)
    written = reference.generate(input_ids=ids, attention_mask=mask).tolist()
    theirs = model.tokenizers.decode(written)
    assert model.generate(SOURCES) == theirs
