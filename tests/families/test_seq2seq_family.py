"""Families of pre-trained encoder-decoders: defaults, old files, refusals, their texts."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.parity.reference import examples, logits_of, reference_logits
from tests.support.tiny import Checkpoints
from tests.support.tiny_seq2seq import SEQ2SEQ, save_seq2seq, seq2seq_model, seq2seq_tokenizer
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

from warmstart.checkpoint.rename import locate
from warmstart.composition.compose import outline
from warmstart.composition.composition import Composition
from warmstart.doctor.model_facts import facts_of
from warmstart.errors import CheckpointError, ConversionError
from warmstart.families.catalogue import FAMILIES, SEQ2SEQ_FAMILIES, seq2seq_family_of
from warmstart.families.seq2seq_family import Seq2SeqFamily
from warmstart.model.config import RelativeBias
from warmstart.model.position import sinusoids
from warmstart.seq2seq import Seq2Seq

CLASSES: dict[str, type[PreTrainedModel]] = {
    "bart": transformers.BartForConditionalGeneration,
    "marian": transformers.MarianMTModel,
    "t5": transformers.T5ForConditionalGeneration,
    "mt5": transformers.MT5ForConditionalGeneration,
    "t5gemma": transformers.T5GemmaForConditionalGeneration,
}
BY_NAME = {family.name: family for family in SEQ2SEQ_FAMILIES}


def test_no_family_is_both_composed_and_whole() -> None:
    types = [kind for family in FAMILIES for kind in family.model_types]
    types += [kind for family in SEQ2SEQ_FAMILIES for kind in family.model_types]
    assert len(types) == len(set(types))
    assert set(CLASSES) == {family.name for family in SEQ2SEQ_FAMILIES}
    tiny = (SEQ2SEQ[name].config().model_type for name in SEQ2SEQ)
    assert {*tiny} == {kind for family in SEQ2SEQ_FAMILIES for kind in family.model_types}


@pytest.mark.parametrize("family", SEQ2SEQ_FAMILIES, ids=lambda family: family.name)
def test_a_config_that_says_nothing_means_what_transformers_takes_it_for(
    family: Seq2SeqFamily,
) -> None:
    theirs = transformers.AutoConfig.for_model(family.model_types[0])
    said: dict[str, Any] = {"model_type": family.model_types[0]}
    if family.name == "t5gemma":
        said |= {"encoder": {}, "decoder": {}}
    composition = Composition(encoder=said, decoder=said, pretrained=True)
    rules = composition.rules()
    with torch.device("meta"):
        reference = CLASSES[family.name](theirs)
    expected = {name: tuple(value.shape) for name, value in reference.state_dict().items()}
    copies = {*family.copies, family.head, *(key for key in expected if "embed_positions" in key)}
    ours: dict[str, tuple[int, ...]] = {}
    for name, parameter in outline(composition).named_parameters():
        location = locate(name, rules)
        ours |= zip(location.names, location.shapes(tuple(parameter.shape)), strict=True)
    assert ours.keys() <= expected.keys()
    assert {name: expected[name] for name in ours} == ours
    assert expected.keys() - ours.keys() <= copies
    assert family.configure(said) == family.configure(theirs.to_dict())
    settings = family.settings(theirs.to_dict())
    assert settings["eos_token_id"] == theirs.eos_token_id
    assert settings["pad_token_id"] == theirs.pad_token_id
    assert settings.get("forced_eos_token_id") == getattr(theirs, "forced_eos_token_id", None)


@pytest.mark.parametrize("size", [8, 9])
def test_fixed_positions_are_those_of_marian(size: int) -> None:
    theirs = MarianSinusoidalPositionalEmbedding(600, size).create_weight()
    ours = sinusoids(torch.arange(600), size)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=0, atol=1e-7)


def test_a_bart_without_its_head_is_loaded_as_transformers_loads_it(tmp_path: Path) -> None:
    seq2seq_model("bart").model.save_pretrained(tmp_path / "base")
    seq2seq_tokenizer("bart").save_pretrained(tmp_path / "base")
    names = load_file(tmp_path / "base" / "model.safetensors").keys()
    assert "final_logits_bias" not in names
    assert not any(name.startswith("model.") for name in names)
    model = Seq2Seq.from_pretrained(tmp_path / "base", device="cpu")
    reference = transformers.BartForConditionalGeneration.from_pretrained(tmp_path / "base").eval()
    assert not reference.final_logits_bias.any()
    torch.testing.assert_close(*both_logits(model, reference), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["bart", "marian", "t5", "t5gemma"])
def test_files_with_copies_and_tables_are_read_and_written_once(name: str, tmp_path: Path) -> None:
    """As writers before transformers 5 and converters left them."""
    plain = Seq2Seq.from_pretrained(save_seq2seq(tmp_path / "plain", name), device="cpu")
    family = BY_NAME[name]
    tensors = load_file(tmp_path / "plain" / "model.safetensors")
    extra = {copy: tensors[family.words].clone() for copy in (*family.copies, family.head)}
    if name == "marian":
        for half in ("encoder", "decoder"):
            extra[f"model.{half}.embed_positions.weight"] = torch.zeros(64, 32)
    if name == "t5":
        bias = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        extra[bias] = torch.zeros(8, 4)
    copy_with(tmp_path / "plain", tmp_path / "old", {**tensors, **extra})
    old = Seq2Seq.from_pretrained(tmp_path / "old", device="cpu")
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(old.model.parameters(), plain.model.parameters(), strict=True)
    )
    old.save_pretrained(tmp_path / "saved")
    assert load_file(tmp_path / "saved" / "model.safetensors").keys() == tensors.keys()


def test_a_file_that_kept_another_name_of_the_embedding(tmp_path: Path) -> None:
    plain = Seq2Seq.from_pretrained(save_seq2seq(tmp_path / "plain", "bart"), device="cpu")
    tensors = load_file(tmp_path / "plain" / "model.safetensors")
    tensors["lm_head.weight"] = tensors.pop("model.shared.weight")
    copy_with(tmp_path / "plain", tmp_path / "other", tensors)
    other = Seq2Seq.from_pretrained(tmp_path / "other", device="cpu")
    assert torch.equal(other.model.head.weight, plain.model.head.weight)


@pytest.mark.filterwarnings("ignore:.*tied weights mapping")
@pytest.mark.parametrize("name", ["t5", "mt5", "t5gemma"])
def test_a_head_of_its_own_that_the_config_calls_tied(name: str, tmp_path: Path) -> None:
    tensors = load_file(save_seq2seq(tmp_path / "plain", name) / "model.safetensors")
    family = BY_NAME[name]
    tensors[family.head] = tensors[family.words] * 0.5
    copy_with(tmp_path / "plain", tmp_path / "own", tensors)
    model = Seq2Seq.from_pretrained(tmp_path / "own", device="cpu")
    reference = CLASSES[name].from_pretrained(tmp_path / "own").eval()
    torch.testing.assert_close(*both_logits(model, reference), rtol=0, atol=1e-5)
    model.save_pretrained(tmp_path / "saved")
    saved = CLASSES[name].from_pretrained(tmp_path / "saved").eval()
    ours, theirs = both_logits(Seq2Seq.from_pretrained(tmp_path / "saved", device="cpu"), saved)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert torch.equal(theirs, both_logits(model, reference)[1])


def test_halves_with_embeddings_of_their_own_are_refused(tmp_path: Path) -> None:
    tensors = load_file(save_seq2seq(tmp_path / "plain", "bart") / "model.safetensors")
    tensors["model.encoder.embed_tokens.weight"] = tensors["model.shared.weight"] + 1
    copy_with(tmp_path / "plain", tmp_path / "two", tensors)
    refused(tmp_path / "two", "model.encoder.embed_tokens.weight")
    del tensors["model.encoder.embed_tokens.weight"]
    tensors["lm_head.weight"] = tensors["model.shared.weight"] + 1
    copy_with(tmp_path / "plain", tmp_path / "head", tensors)
    refused(tmp_path / "head", "tie_word_embeddings")


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("bart", {"tie_word_embeddings": False}, "tie_word_embeddings"),
        ("marian", {"share_encoder_decoder_embeddings": False}, "share_encoder_decoder_embeddings"),
        ("marian", {"decoder_vocab_size": 70}, "70"),
        ("t5", {"feed_forward_proj": "gated-mish"}, "mish"),
        ("t5gemma", {"encoder": None}, "has no 'encoder'"),
        ("bart", {"d_model": 48}, "model.shared.weight is [64, 32]"),
    ],
)
def test_what_cannot_be_expressed_is_refused_in_words(
    name: str, changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    folder = save_seq2seq(tmp_path / "model", name)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    refused(folder, reason)


def test_missing_and_unknown_tensors_are_named(tmp_path: Path) -> None:
    tensors = load_file(save_seq2seq(tmp_path / "plain", "t5") / "model.safetensors")
    tensors["decoder.block.1.layer.2.DenseReluDense.wj.weight"] = tensors.pop(
        "decoder.block.1.layer.2.DenseReluDense.wi.weight"
    )
    copy_with(tmp_path / "plain", tmp_path / "wrong", tensors)
    with pytest.raises(ConversionError, match=r"1 missing .*wi\.weight.*1 unexpected .*wj"):
        Seq2Seq.from_pretrained(tmp_path / "wrong")


def test_what_is_whole_is_not_composed(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = save_seq2seq(tmp_path / "t5", "t5")
    for encoder, decoder in ((folder, checkpoints("bert")), (checkpoints("bert"), folder)):
        with pytest.raises(CheckpointError, match="an encoder-decoder already"):
            Seq2Seq.warm_start(encoder=encoder, decoder=decoder)


def test_gated_and_plain_t5_and_who_scales() -> None:
    """A config before transformers 5 says it by its tied head, one of transformers 5 by itself."""
    t5 = BY_NAME["t5"]
    first = t5.configure({"model_type": "t5", "d_model": 64})
    assert (first.head.tied, first.head.scale) == (True, 0.125)
    assert (first.decoder.feed_forward.gated, first.decoder.feed_forward.activation) == (
        False,
        "relu",
    )
    old = {"model_type": "t5", "tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"}
    second = t5.configure(old)
    assert (second.head.tied, second.head.scale) == (False, 1.0)
    assert second.decoder.feed_forward.activation == "gelu_tanh"
    assert t5.configure({**old, "feed_forward_proj": "gated-silu"}).decoder.feed_forward.gated
    new = transformers.T5Config(tie_word_embeddings=False).to_dict()
    assert t5.configure(new).head.scale == 1.0
    assert second.encoder is not None
    assert second.encoder.relative_bias == RelativeBias(bidirectional=True)
    assert second.decoder.relative_bias == RelativeBias(bidirectional=False)
    assert second.decoder.position_limit is None


def test_targets_of_bart_begin_as_its_tokenizer_frames_them(tmp_path: Path) -> None:
    model = Seq2Seq.from_pretrained(save_seq2seq(tmp_path / "bart", "bart"), device="cpu")
    (row,) = model.encode_targets(["the cat sat"])
    assert row == seq2seq_tokenizer("bart")("the cat sat")["input_ids"]
    assert row[0] == 0
    (short,) = model.encode_targets(["the cat sat"], max_length=3)
    assert short == [*row[:2], row[-1]]
    assert model.tokenizers.decode([row]) == ["the cat sat"]


def test_the_two_languages_of_a_marian_tokenizer(tmp_path: Path) -> None:
    folder = save_seq2seq(tmp_path / "marian", "marian")
    (folder / "tokenizer.json").unlink()
    save_marian_tokenizer(folder)
    model = Seq2Seq.from_pretrained(folder, device="cpu")
    tokenizer = model.tokenizers.target
    assert isinstance(tokenizer, transformers.MarianTokenizer)
    text = "die katze"
    (as_target,), (as_source,) = model.encode_targets([text]), model.encode_sources([text])
    assert as_target == tokenizer(text_target=text)["input_ids"]
    assert as_source == tokenizer(text)["input_ids"] != as_target
    assert model.tokenizers.decode([as_target]) == [text]
    model.save_pretrained(tmp_path / "again")
    again = Seq2Seq.from_pretrained(tmp_path / "again", device="cpu")
    assert again.encode_targets([text]) == [as_target]
    assert again.encode_sources([text]) == [as_source]


def test_dropout_is_only_where_the_family_has_it(checkpoints: Checkpoints, tmp_path: Path) -> None:
    t5 = Seq2Seq.from_pretrained(save_seq2seq(tmp_path / "t5", "t5"), device="cpu")
    bert = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("bert"))
    places = []
    for model in (t5, bert):
        modules = model.model.named_modules()
        places.append({name for name, module in modules if isinstance(module, nn.Dropout)})
    assert {"decoder.final_dropout", "encoder.blocks.0.feed_forward.inner_dropout"} <= places[0]
    assert not any("final" in name or "inner" in name for name in places[1])


def test_inspect_names_the_family(tmp_path: Path) -> None:
    facts = facts_of(str(save_seq2seq(tmp_path / "bart", "bart")))
    assert facts.values["kind"] == "sequence-to-sequence model, pre-trained whole"
    assert facts.values["encoder"]["family"] == facts.values["decoder"]["family"] == "bart"
    assert facts.values["encoder"]["layers"] == 2
    assert facts.values["decoder"]["layers"] == 3
    assert facts.values["in_transformers"]
    assert "share" not in facts.values
    assert facts.values["target_tokens"]["start"] == "</s> (2)"
    trained = sum(parameter.numel() for parameter in seq2seq_model("bart").parameters())
    assert facts.values["parameters"] == trained + 64, "and the bias of the logits"


def test_seq2seq_families_are_recognized_by_their_config() -> None:
    assert seq2seq_family_of({"model_type": "bart"}) is BY_NAME["bart"]
    assert seq2seq_family_of({"model_type": "bert"}) is None
    assert seq2seq_family_of({}) is None


def both_logits(model: Seq2Seq, reference: PreTrainedModel) -> tuple[Tensor, Tensor]:
    sources, targets = examples(model)
    ours = logits_of(model.model, sources, targets)
    return ours, reference_logits(reference, model, sources, targets)


def copy_with(folder: Path, copy: Path, tensors: dict[str, Tensor]) -> None:
    shutil.copytree(folder, copy)
    save_file(tensors, copy / "model.safetensors")


def refused(folder: Path, reason: str) -> None:
    with pytest.raises((CheckpointError, ConversionError)) as caught:
        Seq2Seq.from_pretrained(folder)
    assert reason in str(caught.value)


def save_marian_tokenizer(folder: Path) -> None:
    """Two SentencePiece models and one vocabulary of 64 tokens at most."""
    texts = {
        "source": ["the cat sat on the mat", "a dog ran over the old house"],
        "target": ["die katze sass auf der matte", "ein hund lief ueber das alte haus"],
    }
    pieces: list[str] = []
    for name, lines in texts.items():
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines * 5),
            model_prefix=str(folder / name),
            vocab_size=26,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        (folder / f"{name}.model").rename(folder / f"{name}.spm")
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.spm"))
        pieces += [model.id_to_piece(i) for i in range(3, model.get_piece_size())]
    words = list(dict.fromkeys(["<unk>", "<pad>", "</s>", *pieces]))
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    settings = {"tokenizer_class": "MarianTokenizer", "source_lang": "en", "target_lang": "de"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
