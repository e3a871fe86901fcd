"""Which parameters become one, and refusals that name every difference."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.support.tiny import ENCODER_FAMILIES, Checkpoints, config_of, pretrained, tokenizer_of
from torch import nn

from warmstart.composition.composition_options import Share
from warmstart.composition.sharing import check_sharing
from warmstart.errors import CompositionError
from warmstart.seq2seq import Seq2Seq

KINDS: tuple[Share, ...] = ("none", "embeddings", "layers", "all")


def elements(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("family", ENCODER_FAMILIES)
def test_sharing_saves_exactly_the_decoders_duplicates(
    family: str, checkpoints: Checkpoints
) -> None:
    folder = checkpoints(family)
    models = {
        kind: Seq2Seq.warm_start(encoder=folder, decoder=folder, share=kind).model for kind in KINDS
    }
    encoder = models["none"].encoder
    assert encoder is not None
    whole = elements(models["none"])
    embedding, layers = elements(encoder.embedding), elements(encoder.blocks)
    assert whole - elements(models["embeddings"]) == embedding
    assert whole - elements(models["layers"]) == layers
    assert whole - elements(models["all"]) == embedding + layers


def test_cross_attention_head_and_masks_stay_the_decoders(checkpoints: Checkpoints) -> None:
    folder = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=folder, decoder=folder, share="all").model
    assert model.encoder is not None
    assert model.decoder.config.causal
    assert not model.encoder.config.causal
    assert not any("cross_attention" in name for name, _ in model.encoder.named_parameters())
    encoder = {id(parameter) for parameter in model.encoder.parameters()}
    own = {name for name, p in model.named_parameters() if id(p) not in encoder}
    assert own
    assert all(".cross_attention." in name or name.startswith("head.") for name in own)
    assert model.head.weight is model.encoder.embedding.word.weight


@pytest.mark.parametrize("kind", KINDS[1:])
def test_sharing_survives_training(kind: Share, checkpoints: Checkpoints) -> None:
    folder = checkpoints("bert")
    model = Seq2Seq.warm_start(encoder=folder, decoder=folder, share=kind)
    before = elements(model.model)
    optimizer = torch.optim.AdamW(model.model.parameters(), lr=1e-2)
    for parameter in model.model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    model.to("cpu", torch.bfloat16)
    assert elements(model.model) == before
    assert model.model.encoder is not None
    same = model.model.encoder.blocks[0].feed_forward is model.model.decoder.blocks[0].feed_forward
    assert same == (kind in ("layers", "all"))


def test_a_random_half_adopts_the_others_embedding(checkpoints: Checkpoints) -> None:
    """The paper's rnd2gpt: a random BERT encoder that reads GPT-2's tokens."""
    bert, gpt2 = checkpoints("bert"), checkpoints("gpt2")
    model = Seq2Seq.warm_start(encoder=f"random:{bert}", decoder=gpt2, share="embeddings")
    assert model.model.encoder is not None
    assert model.model.encoder.embedding is model.model.decoder.embedding
    assert model.tokenizers.source is model.tokenizers.target
    assert len(model.tokenizers.source) == 300
    other = Seq2Seq.warm_start(encoder=bert, decoder=f"random:{gpt2}", share="embeddings")
    assert other.tokenizers.source.cls_token == "[CLS]"
    assert other.model.config.decoder.embedding == other.model.config.encoder.embedding  # type: ignore[union-attr]


def refusal(share: Share, encoder: str | Path | None, decoder: str | Path) -> str:
    with pytest.raises(CompositionError) as caught:
        Seq2Seq.warm_start(encoder=encoder, decoder=decoder, share=share)
    return str(caught.value)


def test_unlike_layers_are_refused_with_every_difference(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    config = config_of("bert", layers=3)
    config.update({"hidden_act": "relu", "layer_norm_eps": 1e-5})
    pretrained(config).save_pretrained(tmp_path / "other")
    tokenizer_of("bert").save_pretrained(tmp_path / "other")
    message = refusal("layers", checkpoints("bert"), tmp_path / "other")
    assert "layers (2 and 3)" in message
    assert "feed_forward.activation (gelu and relu)" in message
    assert "norm.eps (1e-12 and 1e-05)" in message
    assert "Use share='none'" in message


def test_unlike_widths_and_families_are_refused(checkpoints: Checkpoints) -> None:
    bert, wide = checkpoints("bert"), checkpoints("bert", hidden_size=48)
    for kind in KINDS[1:]:
        assert "48" in refusal(kind, bert, wide)
    assert "norm_order (post and pre)" in refusal("layers", bert, checkpoints("gpt2"))


def test_unlike_embeddings_are_refused(checkpoints: Checkpoints) -> None:
    message = refusal("embeddings", checkpoints("bert"), checkpoints("bert", extra_words=3))
    assert "embedding.vocabulary (42 and 45)" in message


def test_two_vocabularies_of_one_size_are_refused(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """Same sizes, other words: sharing would mix them up without a word."""
    other = tmp_path / "other"
    shutil.copytree(checkpoints("bert"), other)
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(text.replace('"cat"', '"chat"'))
    message = refusal("embeddings", checkpoints("bert"), other)
    assert "needs one vocabulary" in message
    Seq2Seq.warm_start(encoder=checkpoints("bert"), decoder=other, share="layers")


def test_one_half_cannot_share(checkpoints: Checkpoints) -> None:
    assert "needs two halves" in refusal("layers", None, checkpoints("gpt2"))


def test_what_may_differ_between_a_bidirectional_and_a_causal_half(
    checkpoints: Checkpoints,
) -> None:
    folder = checkpoints("roberta")
    config = Seq2Seq.warm_start(encoder=folder, decoder=folder).model.config
    check_sharing(config, "all")
    assert config.encoder is not None
    check_sharing(replace(config, encoder=replace(config.encoder, pooler=True)), "all")
