"""Folders go between transformers and us, and back, without a bit of difference."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from tests.parity.reference import examples, logits_of, reference_logits, save_for_reference
from tests.support.tiny import FAMILIES, Checkpoints
from torch import nn
from transformers import EncoderDecoderModel

from warmstart.seq2seq import Seq2Seq

# Every family as decoder and, where it can be one, as encoder; the last pair has a bridge.
PAIRS = [
    *((family if family != "gpt2" else "bert", family, 32) for family in FAMILIES),
    ("xlm-roberta", "bert-generation", 48),
]


@pytest.mark.parametrize(("encoder", "decoder", "width"), PAIRS)
def test_ours_through_transformers_and_back(
    encoder: str, decoder: str, width: int, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(
        encoder=checkpoints(encoder, hidden_size=width), decoder=checkpoints(decoder, seed=1)
    )
    reference = save_for_reference(model, tmp_path / "ours")
    reference.save_pretrained(tmp_path / "theirs")
    model.tokenizers.save(tmp_path / "theirs")
    back = Seq2Seq.from_pretrained(tmp_path / "theirs")
    assert_equal(back.model, model.model)
    assert back.tokenizers.special == model.tokenizers.special
    assert back.model.config == model.model.config


@pytest.mark.parametrize(("encoder", "decoder", "width"), PAIRS)
def test_theirs_through_us_and_back(
    encoder: str, decoder: str, width: int, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    reference = composed_by_transformers(
        checkpoints(encoder, hidden_size=width), checkpoints(decoder, seed=1), tmp_path / "theirs"
    )
    model = Seq2Seq.from_pretrained(tmp_path / "theirs")
    sources, targets = examples(model)
    torch.testing.assert_close(
        logits_of(model.model, sources, targets),
        reference_logits(reference, model, sources, targets),
        rtol=0,
        atol=1e-5,
    )
    back = save_for_reference(model, tmp_path / "ours")
    # BERT's pooler is of no use to a sequence-to-sequence model, and we drop it.
    back.encoder.pooler = reference.encoder.pooler = None
    assert_equal(back, reference)


def test_auto_class_loads_our_folder(checkpoints: Checkpoints, tmp_path: Path) -> None:
    model = Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=checkpoints("roberta"))
    model.save_pretrained(tmp_path / "model")
    reference = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model")
    assert isinstance(reference, EncoderDecoderModel)
    assert reference.decoder.config.is_decoder
    assert reference.decoder.config.add_cross_attention
    assert not reference.encoder.config.is_decoder
    special = model.tokenizers.special
    assert reference.generation_config.decoder_start_token_id == special.start
    assert reference.generation_config.eos_token_id == special.end
    assert reference.generation_config.pad_token_id == special.pad


def test_transformers_misses_nothing_in_our_folder(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = Seq2Seq.warm_start(
        encoder=checkpoints("bert-generation"), decoder=checkpoints("gpt2", hidden_size=48)
    )
    model.save_pretrained(tmp_path / "model")
    _, report = EncoderDecoderModel.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]


@pytest.mark.parametrize("sizes", ["1KB", "20KB"])
def test_theirs_in_shards(sizes: str, checkpoints: Checkpoints, tmp_path: Path) -> None:
    reference = composed_by_transformers(
        checkpoints("bert"), checkpoints("bert", seed=1), tmp_path / "whole"
    )
    reference.save_pretrained(tmp_path / "whole", max_shard_size=sizes)
    files = {path.name for path in (tmp_path / "whole").glob("*.safetensors")}
    if "model.safetensors" in files:  # of the first, unsharded save
        (tmp_path / "whole" / "model.safetensors").unlink()
    index = json.loads((tmp_path / "whole" / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    model = Seq2Seq.from_pretrained(tmp_path / "whole")
    back = save_for_reference(model, tmp_path / "ours")
    back.encoder.pooler = reference.encoder.pooler = None
    assert_equal(back, reference)


def composed_by_transformers(encoder: Path, decoder: Path, folder: Path) -> EncoderDecoderModel:
    """Composed and saved by transformers with both tokenizers, as the hub's authors did."""
    torch.manual_seed(0)
    reference: EncoderDecoderModel = EncoderDecoderModel.from_encoder_decoder_pretrained(
        encoder, decoder
    )
    reference.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(decoder).save_pretrained(
        folder / "decoder_tokenizer"
    )
    return reference.eval()


def assert_equal(ours: nn.Module, theirs: nn.Module) -> None:
    """The same tensors under the same names, bit for bit."""
    mine, other = dict(ours.named_parameters()), dict(theirs.named_parameters())
    assert mine.keys() == other.keys()
    differing = [name for name in mine if not torch.equal(mine[name], other[name])]
    assert not differing
