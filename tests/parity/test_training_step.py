"""Loss and gradients are transformers' on the same weights, and so is what dropout does."""

from pathlib import Path

import pytest
import torch
from tests.parity.reference import random_pairs, rectangle, save_for_reference, teach
from tests.support.tiny import FAMILIES, Checkpoints, config_of, pretrained, tokenizer_of
from torch import Tensor
from transformers import EncoderDecoderModel

from warmstart.checkpoint.rename import locate, to_theirs
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

Batch = dict[str, Tensor]
Rows = list[list[int]]

# Theirs says so whenever labels are given.
pytestmark = pytest.mark.filterwarnings("ignore:Version v4.12.0 introduces:FutureWarning")


@pytest.mark.parametrize("decoder", FAMILIES)
def test_loss_and_every_gradient_are_those_of_transformers(
    decoder: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(
        encoder=checkpoints("roberta", hidden_size=48), decoder=checkpoints(decoder)
    )
    reference = save_for_reference(model, tmp_path / "model")
    ours, theirs = batch_of(model), reference_batch_of(model)
    loss = model.model.eval()(*ours)
    their_loss = reference(**theirs).loss
    torch.testing.assert_close(loss, their_loss, rtol=0, atol=1e-5)
    loss.backward()
    their_loss.backward()
    their_parameters = dict(reference.named_parameters(remove_duplicate=False))
    rules = model.composition.rules()
    compared = set()
    for name, parameter in model.model.named_parameters():
        assert parameter.grad is not None, name
        for theirs_name, gradient in to_theirs(locate(name, rules), parameter.grad).items():
            expected = their_parameters[theirs_name]
            torch.testing.assert_close(gradient, expected.grad, rtol=1e-4, atol=1e-6)
            compared.add(expected)
    trained = {parameter for parameter in reference.parameters() if parameter.grad is not None}
    assert trained == compared


@pytest.mark.parametrize("decoder", ["bert", "gpt2"])
def test_dropout_does_on_average_what_it_does_in_transformers(decoder: str, tmp_path: Path) -> None:
    model, reference = with_dropout(0.3, decoder, tmp_path)
    ours, theirs = batch_of(model), reference_batch_of(model)
    without = model.model.eval()(*ours).item()
    model.model.train()
    reference.train()
    repeats = 100
    with torch.no_grad():
        mine = torch.tensor([model.model(*ours).item() for _ in range(repeats)])
        other = torch.tensor([reference(**theirs).loss.item() for _ in range(repeats)])
    error = float((mine.var() / repeats + other.var() / repeats).sqrt())
    assert abs(float(mine.mean() - other.mean())) < 4 * error
    assert abs(float(mine.mean()) - without) > 8 * error, "dropout should be seen in the loss"
    assert 0.6 < float(mine.std() / other.std()) < 1.6


def test_a_step_with_dropout_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    model, _ = with_dropout(0.1, "bert", tmp_path)
    batch = batch_of(model)
    initial = {name: value.clone() for name, value in model.model.state_dict().items()}
    after = []
    for seed in (1, 1, 2):
        model.model.load_state_dict(initial)
        model.model.train()
        optimizer = torch.optim.SGD(model.model.parameters(), lr=0.1)
        torch.manual_seed(seed)
        model.model(*batch).backward()
        optimizer.step()
        optimizer.zero_grad()
        after.append({name: value.clone() for name, value in model.model.state_dict().items()})
    first, again, other = after
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def with_dropout(
    probability: float, decoder: str, folder: Path
) -> tuple[Seq2Seq, EncoderDecoderModel]:
    for family in ("bert", decoder):
        config = config_of(family)
        names = (
            ("resid_pdrop", "embd_pdrop", "attn_pdrop")
            if family == "gpt2"
            else ("hidden_dropout_prob", "attention_probs_dropout_prob")
        )
        config.update(dict.fromkeys(names, probability))
        pretrained(config).save_pretrained(folder / family)
        tokenizer_of(family).save_pretrained(folder / family)
    model = Seq2Seq.warm_start(encoder=folder / "bert", decoder=folder / decoder)
    assert model.model.config.decoder.dropout == probability
    assert model.model.config.decoder.attention.dropout == probability
    teach(model, steps=60 if decoder == "gpt2" else 25)
    return model, save_for_reference(model, folder / "model")


def batch_of(model: Seq2Seq) -> tuple[Sequences, Sequences, Tensor]:
    sources, inputs, labels = rows_of(model)
    return Sequences.of(sources), Sequences.of(inputs), Sequences.of(labels).tokens


def reference_batch_of(model: Seq2Seq) -> Batch:
    sources, inputs, labels = rows_of(model)
    source_ids, source_mask = rectangle(sources, model.tokenizers.source.pad_token_id)
    target_ids, target_mask = rectangle(inputs, model.tokenizers.special.pad)
    return {
        "input_ids": source_ids,
        "attention_mask": source_mask,
        "decoder_input_ids": target_ids,
        "decoder_attention_mask": target_mask,
        "labels": rectangle(labels, -100)[0],
    }


def rows_of(model: Seq2Seq) -> tuple[Rows, Rows, Rows]:
    """Sources, decoder inputs and labels of some of the pairs that `teach` teaches."""
    sources, targets = zip(*random_pairs(seed=0)[:6], strict=True)
    labels = model.encode_targets(targets)
    start = model.tokenizers.special.start
    return model.encode_sources(sources), [[start, *row[:-1]] for row in labels], labels
