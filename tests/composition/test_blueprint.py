"""Choices of layers and vocabularies, and plans before any weight is read."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import transformers
from tests.parity.reference import (
    examples,
    logits_of,
    reference_logits,
    save_for_reference,
)
from tests.support.tiny import SENTENCES, Checkpoints, config_of, pretrained, tokenizer_of
from torch import Tensor

from warmstart.composition.blueprint import of_checkpoints
from warmstart.composition.composition_options import CompositionOptions, Share
from warmstart.errors import CheckpointError, CompositionError
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

WORDS = ("word_embeddings.weight", "wte.weight")  # as checkpoints name them


def tensors_of(folder: Path) -> dict[str, Tensor]:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    return dict(model.named_parameters(remove_duplicate=False))


@pytest.mark.parametrize(
    ("choice", "layers"), [(2, (0, 1)), ([0, 2, 3], (0, 2, 3)), ([3], (3,)), (4, (0, 1, 2, 3))]
)
def test_chosen_layers_of_the_decoder(
    choice: int | Sequence[int],
    layers: tuple[int, ...],
    checkpoints: Checkpoints,
    tmp_path: Path,
) -> None:
    """What transformers computes with the other layers taken out."""
    deep = checkpoints("gpt2", layers=4)
    model = Seq2Seq.warm_start(encoder=None, decoder=deep, decoder_layers=choice)
    reference = transformers.AutoModelForCausalLM.from_pretrained(deep).eval()
    blocks = reference.transformer.h
    reference.transformer.h = torch.nn.ModuleList(blocks[layer] for layer in layers)
    source, target = model.encode_sources(SENTENCES[:1]), [[1, 2, 3]]
    with torch.no_grad():
        expected = reference(torch.tensor([[*source[0], *target[0]]]), use_cache=False).logits[0]
    logits = logits_of(model.model, source, target)
    torch.testing.assert_close(logits, expected[-3:], rtol=1e-4, atol=1e-5)
    assert model.composition.decoder_layers == layers
    model.save_pretrained(tmp_path / "saved")
    loaded = Seq2Seq.from_pretrained(tmp_path / "saved")
    assert torch.equal(logits_of(loaded.model, source, target), logits)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert len(theirs.transformer.h) == len(layers)


def test_a_deep_encoder_and_a_shallow_decoder(checkpoints: Checkpoints, tmp_path: Path) -> None:
    deep = checkpoints("bert", layers=4)
    model = Seq2Seq.warm_start(
        encoder=deep, decoder=deep, encoder_layers=[0, 1, 3], decoder_layers=1
    )
    assert model.model.encoder is not None
    assert (len(model.model.encoder.blocks), len(model.model.decoder.blocks)) == (3, 1)
    whole = tensors_of(deep)
    found = dict(model.model.encoder.named_parameters())["blocks.2.feed_forward.up.weight"]
    assert torch.equal(found, whole["bert.encoder.layer.3.intermediate.dense.weight"])
    # Layer 2 is nowhere, 1 and 3 are the encoder's: the checkpoint serves both halves.
    assert model.provenance is not None
    unused = {entry.name for entry in model.provenance if entry.origin == "unused"}
    layers = {name.split(".")[3] for name in unused if ".layer." in name}
    assert layers == {"2"}
    reference = save_for_reference(model, tmp_path / "saved")
    sources, targets = examples(model)
    torch.testing.assert_close(
        logits_of(model.model, sources, targets),
        reference_logits(reference, model, sources, targets),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("family", ["qwen3", "gemma2", "gemma3_text", "modernbert", "mistral"])
def test_chosen_layers_keep_their_windows(
    family: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """And their query/key norms, thetas and whatever else a layer of its own kind has."""
    deep = checkpoints(family, layers=8)
    whole = Seq2Seq.warm_start(encoder=None, decoder=deep).model.decoder
    layers = [0, 2, 5, 7]
    model = Seq2Seq.warm_start(encoder=None, decoder=deep, decoder_layers=layers)
    windows = [whole.config.window(layer) for layer in layers]
    decoder = model.model.decoder
    assert [decoder.config.window(layer) for layer in range(4)] == windows
    whole.blocks = torch.nn.ModuleList(whole.blocks[layer] for layer in layers)
    target = Sequences.of([list(range(1, 30)), [4, 3]])
    with torch.no_grad():
        assert torch.equal(decoder.eval()(target), whole.eval()(target))
    model.save_pretrained(tmp_path / "saved")
    loaded = Seq2Seq.from_pretrained(tmp_path / "saved").model.decoder.eval()
    with torch.no_grad():
        assert torch.equal(loaded(target), decoder(target))


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (3, "the checkpoint has 2 layers; give a number from 1 to 2"),
        (0, "give a number from 1 to 2"),
        ([], "a list of layers from 0 to 1"),
        ([0, 2], "a list of layers from 0 to 1"),
        ([-1], "a list of layers from 0 to 1"),
        ([1, 0], "must be ascending"),
        ([1, 1], "must be ascending"),
    ],
)
def test_layers_that_are_not_there(
    choice: int | Sequence[int], said: str, checkpoints: Checkpoints
) -> None:
    bert = checkpoints("bert")
    with pytest.raises(CompositionError, match=said):
        Seq2Seq.warm_start(encoder=bert, decoder=bert, encoder_layers=choice)
    with pytest.raises(CompositionError, match="there is no encoder"):
        Seq2Seq.warm_start(encoder=None, decoder=bert, encoder_layers=1)


def test_halves_of_different_depth_share_no_layers(checkpoints: Checkpoints) -> None:
    bert = checkpoints("bert")
    with pytest.raises(CompositionError, match=r"layers \(2 and 1\)"):
        Seq2Seq.warm_start(encoder=bert, decoder=bert, decoder_layers=1, share="layers")
    model = Seq2Seq.warm_start(
        encoder=bert, decoder=bert, decoder_layers=1, encoder_layers=1, share="all"
    )
    assert model.model.encoder is not None
    assert (
        model.model.decoder.blocks[0].self_attention is model.model.encoder.blocks[0].self_attention
    )


def untied(folder: Path) -> Path:
    """A GPT-2 whose head is a matrix of its own."""
    config = config_of("gpt2")
    config.tie_word_embeddings = False
    pretrained(config, seed=5).save_pretrained(folder)
    tokenizer_of("gpt2").save_pretrained(folder)
    return folder


@pytest.mark.parametrize("decoder", ["bert", "roberta", "gpt2", "untied gpt2"])
def test_rows_of_tokens_that_both_know_are_kept(
    decoder: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    bert = checkpoints("bert", extra_words=3)
    own = untied(tmp_path / "own") if decoder == "untied gpt2" else checkpoints(decoder)
    model = Seq2Seq.warm_start(encoder=bert, decoder=own, target_vocabulary="encoder")
    old = transformers.AutoTokenizer.from_pretrained(own).get_vocab()
    new = transformers.AutoTokenizer.from_pretrained(bert).get_vocab()
    both = sorted(old.keys() & new.keys())
    assert 0 < len(both) < len(new)
    reference = transformers.AutoModelForCausalLM.from_pretrained(own)
    ours, theirs = [new[token] for token in both], [old[token] for token in both]
    word, head = model.model.decoder.embedding.word.weight, model.model.head
    assert word.shape[0] == head.weight.shape[0] == len(new)
    assert torch.equal(word[ours], reference.get_input_embeddings().weight[theirs])
    assert torch.equal(head.weight[ours], reference.get_output_embeddings().weight[theirs])
    assert (head.weight is word) == (decoder != "untied gpt2")
    if head.bias is not None:
        assert torch.equal(head.bias[ours], reference.get_output_embeddings().bias[theirs])
    others = [row for token, row in new.items() if token not in old]
    assert word[others].std().item() == pytest.approx(0.02, rel=0.2)

    assert model.provenance is not None
    entries = [e for e in model.provenance if e.name == "decoder.embedding.word.weight"]
    assert {entry.origin: entry.shape for entry in entries} == {
        "leveraged": (len(both), 32),
        "random": (len(new) - len(both), 32),
    }
    assert model.provenance.total == sum(p.numel() for p in model.model.parameters())
    left = [e.shape[0] for e in model.provenance if e.name.endswith(WORDS)]
    assert left == [len(old) - len(both)] * (len(old) > len(both))

    assert model.tokenizers.target is model.tokenizers.source
    start, end = model.tokenizers.special.start, model.tokenizers.special.end
    assert (start, end) == (new["[CLS]"], new["[SEP]"])
    assert model.encode_targets(["the cat word1"])[0] == [new["the"], new["cat"], new["word1"], end]


@pytest.mark.parametrize("decoder", ["bert", "gpt2"])
@pytest.mark.parametrize("share", ["none", "embeddings", "all"])
def test_another_tokenizers_vocabulary(
    decoder: str, share: Share, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """Words added: both embeddings grow together, and transformers still computes the same."""
    own = checkpoints(decoder)
    larger = transformers.AutoTokenizer.from_pretrained(own)
    larger.add_tokens(["<sep0>", "<sep1>"])
    larger.save_pretrained(tmp_path / "tokenizer")
    encoder = checkpoints("bert") if share == "none" else own
    model = Seq2Seq.warm_start(
        encoder=encoder, decoder=own, share=share, target_vocabulary=tmp_path / "tokenizer"
    )
    before = transformers.AutoModelForCausalLM.from_pretrained(own).get_input_embeddings().weight
    after = model.model.decoder.embedding.word.weight
    assert after.shape[0] == len(larger) == before.shape[0] + 2
    assert torch.equal(after[:-2], before)
    assert model.model.head.weight is after
    texts = ["the cat <sep1>"]
    assert (
        model.encode_targets(texts)[0][:-1]
        == larger(texts, add_special_tokens=False)["input_ids"][0]
    )
    assert (len(larger) - 1 in model.encode_sources(texts)[0]) == (share != "none")
    model.save_pretrained(tmp_path / "saved")
    loaded = Seq2Seq.from_pretrained(tmp_path / "saved")
    sources, targets = examples(model)
    targets[0].append(len(larger) - 1)
    logits = logits_of(model.model, sources, targets)
    assert torch.equal(logits_of(loaded.model, sources, targets), logits)
    if (share != "all" and decoder == "bert") or share == "none":
        model.save_pretrained(tmp_path / "twice", duplicate_shared=True)
        reference = transformers.EncoderDecoderModel.from_pretrained(tmp_path / "twice").eval()
        theirs = reference_logits(reference, model, sources, targets)
        torch.testing.assert_close(logits, theirs, rtol=1e-4, atol=1e-5)


def test_positions_counted_from_the_pad_stay(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """RoBERTa's positions begin behind its pad's id, whatever the new tokenizer's pad is."""
    roberta, bert = checkpoints("roberta"), checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=bert, decoder=roberta, target_vocabulary="encoder")
    positions = model.model.config.decoder.embedding.positions
    assert positions is not None
    assert positions.offset == 2
    assert model.tokenizers.special.pad == model.tokenizers.target.pad_token_id == 0
    model.save_pretrained(tmp_path / "saved")
    loaded = Seq2Seq.from_pretrained(tmp_path / "saved")
    sources, targets = examples(model)
    assert torch.equal(
        logits_of(loaded.model, sources, targets), logits_of(model.model, sources, targets)
    )
    with pytest.raises((ValueError, KeyError), match="warmstart-roberta"):
        transformers.EncoderDecoderModel.from_pretrained(tmp_path / "saved")


def test_refused_vocabularies(checkpoints: Checkpoints, tmp_path: Path) -> None:
    bert, gpt2 = checkpoints("bert"), checkpoints("gpt2")
    with pytest.raises(CompositionError, match="there is no encoder"):
        Seq2Seq.warm_start(encoder=None, decoder=gpt2, target_vocabulary="encoder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="is missing"):
        Seq2Seq.warm_start(encoder=bert, decoder=gpt2, target_vocabulary=tmp_path / "empty")
    with pytest.raises(CheckpointError, match="There is no folder"):
        Seq2Seq.warm_start(encoder=bert, decoder=gpt2, target_vocabulary=tmp_path / "nowhere")


@pytest.mark.parametrize("start", ["random", "copy", "gated", "merged"])
@pytest.mark.parametrize("share", ["none", "embeddings"])
def test_a_plan_is_what_will_be(start: str, share: Share, checkpoints: Checkpoints) -> None:
    bert = checkpoints("bert", layers=3)
    settings = {
        "encoder": bert,
        "decoder": bert,
        "share": share,
        "cross_attention": start,
        "decoder_layers": [0, 2],
    }
    blueprint = of_checkpoints(CompositionOptions(**settings))  # type: ignore[arg-type]
    model = Seq2Seq.warm_start(**settings)  # type: ignore[arg-type]
    assert blueprint.provenance() == model.provenance
    assert blueprint.composition == model.composition
