"""Pre-trained encoder-decoders, loaded whole, are what they are in transformers."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tests.parity.reference import (
    examples,
    logits_of,
    random_pairs,
    rectangle,
    reference_logits,
    teach,
)
from tests.support.searches import first_outputs
from tests.support.tiny_seq2seq import SEQ2SEQ, save_seq2seq
from torch import Tensor
from transformers import PreTrainedModel

from warmstart.checkpoint.rename import locate, to_theirs
from warmstart.generation.generation_config import GenerationConfig
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

TOLERANCE = 1e-5
LONGEST = 16  # tokens, with the start token
SOURCES = [source for source, _ in random_pairs(seed=1, count=5)]

OPTIONS = (
    GenerationConfig(max_length=LONGEST),
    GenerationConfig(max_length=6, min_length=4),
    GenerationConfig(max_length=LONGEST, num_beams=3, length_penalty=2.0),
    GenerationConfig(max_length=LONGEST, num_beams=4, early_stopping=True, min_length=5),
    GenerationConfig(max_length=7, num_beams=4, no_repeat_ngram_size=2, length_penalty=0.5),
)
ASKED = {
    "forced_bos_token_id": 7,
    "forced_eos_token_id": 2,
    "bad_words_ids": [[9], [10, 11], [2]],
    "renormalize_logits": True,
}

# T5 v1.1 keeps a head of its own, though transformers 5 says in its config that it is tied.
pytestmark = pytest.mark.filterwarnings("ignore:.*tied weights mapping")


@pytest.fixture(scope="session", params=SEQ2SEQ)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of each kind as transformers saves it. Do not change it."""
    name = str(request.param)
    return save_seq2seq(tmp_path_factory.mktemp("whole") / name, name)


def reference_of(folder: Path) -> PreTrainedModel:
    model: PreTrainedModel = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    return model.eval()


def test_logits_of_a_padded_batch_and_of_each_alone(folder: Path) -> None:
    model, reference = Seq2Seq.from_pretrained(folder, device="cpu"), reference_of(folder)
    sources, targets = examples(model)
    assert len({*map(len, sources)}) == len({*map(len, targets)}) == len(sources)
    ours = logits_of(model.model, sources, targets)
    theirs = reference_logits(reference, model, sources, targets)
    assert theirs.std() > 0.1, "the reference must say something"
    torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)
    alone = [
        reference_logits(reference, model, [source], [target])
        for source, target in zip(sources, targets, strict=True)
    ]
    torch.testing.assert_close(ours, torch.cat(alone), rtol=0, atol=TOLERANCE)


def test_decoding_step_by_step_gives_the_same_logits(folder: Path) -> None:
    model, reference = Seq2Seq.from_pretrained(folder, device="cpu"), reference_of(folder)
    sources, targets = examples(model)
    theirs = reference_logits(reference, model, sources, targets)
    longest = max(map(len, targets))
    with torch.no_grad():
        cache = model.model.eval().start(Sequences.of(sources), longest)
        steps = [
            model.model.step(torch.tensor([[row[min(at, len(row) - 1)]] for row in targets]), cache)
            for at in range(longest)
        ]
    ours = torch.cat(steps, dim=1)
    packed = torch.cat([ours[i, : len(row)] for i, row in enumerate(targets)])
    torch.testing.assert_close(packed, theirs, rtol=0, atol=TOLERANCE)


def test_bfloat16_error_is_at_most_three_times_that_of_transformers(folder: Path) -> None:
    model, reference = Seq2Seq.from_pretrained(folder, device="cpu"), reference_of(folder)
    sources, targets = examples(model)
    exact = reference_logits(reference, model, sources, targets)
    theirs = reference_logits(reference.to(torch.bfloat16), model, sources, targets)
    ours = logits_of(model.to("cpu", torch.bfloat16).model, sources, targets)
    assert ours.dtype == torch.bfloat16
    our_error, their_error = (ours - exact).abs(), (theirs - exact).abs()
    assert 0 < our_error.mean() <= 3 * their_error.mean()
    assert our_error.max() <= 3 * their_error.max()


def test_loss_and_every_gradient(folder: Path) -> None:
    model, reference = Seq2Seq.from_pretrained(folder, device="cpu"), reference_of(folder)
    model.model.eval()
    loss, their_loss = losses(model, reference)
    torch.testing.assert_close(loss, their_loss, rtol=0, atol=TOLERANCE)
    loss.backward()
    their_loss.backward()
    their_parameters = dict(reference.named_parameters(remove_duplicate=False))
    rules = model.composition.rules()
    compared = set()
    for name, parameter in model.model.named_parameters():
        if not parameter.requires_grad:
            assert name == "head.bias", "a buffer in transformers"
            continue
        assert parameter.grad is not None, name
        for theirs, gradient in to_theirs(locate(name, rules), parameter.grad).items():
            expected = their_parameters[theirs].grad
            if (
                isinstance(reference, transformers.MarianMTModel)
                and theirs == "model.shared.weight"
            ):
                # There the start token, being the pad token, gets no gradient as an input.
                gradient[1] = expected[1]
            torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)
            compared.add(their_parameters[theirs])
    trained = {parameter for parameter in reference.parameters() if parameter.grad is not None}
    assert trained == compared


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_dropout_does_on_average_what_it_does_in_transformers(name: str, tmp_path: Path) -> None:
    taught(save_seq2seq(tmp_path / name, name), tmp_path)
    config = transformers.AutoConfig.from_pretrained(tmp_path / "taught")
    keys = (
        ("dropout", "attention_dropout", "activation_dropout")
        if name == "bart"
        else ("dropout_rate", "attention_dropout")
    )
    config.update(dict.fromkeys(keys, 0.3))
    config.save_pretrained(tmp_path / "taught")
    model = Seq2Seq.from_pretrained(tmp_path / "taught", device="cpu")
    reference = reference_of(tmp_path / "taught")
    ours = model.model.config.decoder
    assert ours.dropout == ours.attention.dropout == ours.feed_forward.dropout == 0.3
    assert ours.final_dropout == (name != "bart")
    without = losses(model, reference)[1].item()
    model.model.train()
    reference.train()
    repeats = 80
    torch.manual_seed(0)
    with torch.no_grad():
        both = [losses(model, reference) for _ in range(repeats)]
    mine, other = (torch.tensor([pair[at].item() for pair in both]) for at in (0, 1))
    error = float((mine.var() / repeats + other.var() / repeats).sqrt())
    assert abs(float(mine.mean() - other.mean())) < 4 * error
    assert abs(float(mine.mean()) - without) > 4 * error, "dropout should be seen in the loss"
    assert 0.6 < float(mine.std() / other.std()) < 1.6


def test_greedy_and_beam_search(folder: Path, tmp_path: Path) -> None:
    model, reference = taught(folder, tmp_path)
    lengths = set()
    for options in OPTIONS:
        ours, theirs = outputs(model, reference, options, {})
        assert ours == theirs, options
        lengths |= {*map(len, ours)}
    assert len(lengths) > 3, "outputs should end at different steps"


@pytest.mark.parametrize("name", ["bart", "marian"])
def test_searches_with_what_the_files_ask_of_every_output(name: str, tmp_path: Path) -> None:
    model, reference = taught(save_seq2seq(tmp_path / "first", name), tmp_path)
    settings = reference.generation_config
    for key, value in ASKED.items():
        setattr(settings, key, value)
    settings.save_pretrained(tmp_path / "taught")
    model = Seq2Seq.from_pretrained(tmp_path / "taught", device="cpu")
    plain = Seq2Seq.from_pretrained(tmp_path / "first", device="cpu")
    assert model.constraints != plain.constraints
    for options in OPTIONS:
        ours, theirs = outputs(model, reference, options, ASKED)
        assert ours == theirs, options
        assert all(row[0] == 7 and not {9} & {*row} for row in ours)


def test_theirs_through_us_and_back_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    model = Seq2Seq.from_pretrained(folder, device="cpu")
    model.save_pretrained(tmp_path / "ours")
    before, after = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "ours"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    reference, back = reference_of(folder), reference_of(tmp_path / "ours")
    assert type(back) is type(reference)
    sources, targets = examples(model)
    assert torch.equal(
        reference_logits(reference, model, sources, targets),
        reference_logits(back, model, sources, targets),
    )
    again = Seq2Seq.from_pretrained(tmp_path / "ours", device="cpu")
    assert again.model.config == model.model.config
    assert again.tokenizers.special == model.tokenizers.special
    assert (again.generation, again.constraints) == (model.generation, model.constraints)
    ours, theirs = model.model.state_dict(), again.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_transformers_misses_nothing_in_our_folder(folder: Path, tmp_path: Path) -> None:
    model = Seq2Seq.from_pretrained(folder, device="cpu")
    teach(model, steps=2)
    model.save_pretrained(tmp_path / "ours")
    _, report = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]


def taught(folder: Path, tmp_path: Path) -> tuple[Seq2Seq, PreTrainedModel]:
    """A half-taught model, and the same in transformers."""
    model = Seq2Seq.from_pretrained(folder, device="cpu")
    before = losses(model, reference_of(folder))[0].item()
    teach(model, steps=25)
    model.save_pretrained(tmp_path / "taught")
    reference = reference_of(tmp_path / "taught")
    after, theirs = losses(model, reference)
    assert after.item() < before
    torch.testing.assert_close(after, theirs, rtol=0, atol=TOLERANCE)
    return model, reference


def losses(model: Seq2Seq, reference: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """Ours and theirs of one batch; the decoder's inputs are theirs from the labels."""
    sources, texts = zip(*random_pairs(seed=0)[:6], strict=True)
    rows, labels = model.encode_sources(sources), model.encode_targets(texts)
    start = model.tokenizers.special.start
    ours: Tensor = model.model(
        Sequences.of(rows),
        Sequences.of([[start, *row[:-1]] for row in labels]),
        Sequences.of(labels).tokens,
    )
    ids, mask = rectangle(rows, model.tokenizers.special.pad)
    theirs: Tensor = reference(
        input_ids=ids, attention_mask=mask, labels=rectangle(labels, -100)[0]
    ).loss
    return ours, theirs


def outputs(
    model: Seq2Seq,
    reference: PreTrainedModel,
    options: GenerationConfig,
    asked: Mapping[str, object],
) -> tuple[list[list[int]], list[list[int]]]:
    """Ours and theirs, without the start token and up to the end token."""
    special = model.tokenizers.special
    ids, mask = rectangle(model.encode_sources(SOURCES), special.pad)
    settings = {"forced_eos_token_id": model.constraints.forced_eos_token_id, **asked}
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
        **settings,
    ).tolist()
    sources = Sequences.of(model.encode_sources(SOURCES))
    ours = first_outputs(model.model, sources, special, options, model.constraints)
    return ours, [up_to_end(row[1:], special.end) for row in written]


def up_to_end(row: list[int], end: int) -> list[int]:
    return row[: row.index(end) + 1] if end in row else row
