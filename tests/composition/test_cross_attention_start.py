"""What each start of the cross-attention claims, and that a folder keeps it."""

import math
from pathlib import Path
from typing import get_args

import pytest
import torch
import transformers
from tests.parity.reference import examples, logits_of, save_for_reference
from tests.support.tiny import Checkpoints
from torch import Tensor
from transformers.models.t5gemma2.modeling_t5gemma2 import T5Gemma2MergedAttention

from warmstart.composition.composition import Composition, configure
from warmstart.composition.composition_options import CrossAttentionStart, Share
from warmstart.composition.sharing import check_sharing
from warmstart.errors import CompositionError, UsageError
from warmstart.model.attention import SelfAttention
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    NormConfig,
    Rotary,
    StackConfig,
)
from warmstart.model.position import rotation
from warmstart.model.sequences import Sequences
from warmstart.model.stack import Block
from warmstart.seq2seq import Seq2Seq

PAIRS = [("bert", "bert"), ("bert", "gpt2"), ("gpt2", "gpt2"), ("gpt2", "roberta")]
STARTS: tuple[CrossAttentionStart, ...] = get_args(CrossAttentionStart)
CROSS: tuple[Share, ...] = ("cross", "embeddings+cross", "layers+cross", "all+cross")


def compose(
    checkpoints: Checkpoints,
    encoder: str,
    decoder: str,
    start: CrossAttentionStart,
    *,
    width: int = 32,
    share: Share = "none",
) -> Seq2Seq:
    return Seq2Seq.warm_start(
        encoder=checkpoints(encoder, hidden_size=width),
        decoder=checkpoints(decoder),
        cross_attention=start,
        share=share,
    )


def causal_logits(folder: Path, rows: list[list[int]]) -> Tensor:
    """Of the decoder's own checkpoint in transformers, made causal. Shape: [T, V]"""
    config = transformers.AutoConfig.from_pretrained(folder, is_decoder=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, config=config).eval()
    with torch.no_grad():
        return torch.cat([model(torch.tensor([row])).logits[0] for row in rows])


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
@pytest.mark.parametrize("width", [32, 48])
def test_a_copy_is_the_layers_own_self_attention(
    encoder: str, decoder: str, width: int, checkpoints: Checkpoints
) -> None:
    model = compose(checkpoints, encoder, decoder, "copy", width=width)
    for block in model.model.decoder.blocks:
        assert isinstance(block, Block)
        assert block.cross_attention is not None
        own, cross = block.self_attention, block.cross_attention
        for kind in ("weight", "bias"):
            q, k, v = getattr(own.qkv, kind).chunk(3)
            assert torch.equal(getattr(cross.query, kind), q)
            assert torch.equal(getattr(cross.key_value, kind), torch.cat((k, v)))
            assert torch.equal(getattr(cross.output, kind), getattr(own.output, kind))
            assert torch.equal(getattr(cross.norm, kind), getattr(own.norm, kind))
        assert cross.query.weight.data_ptr() != own.qkv.weight.data_ptr()
    assert model.provenance is not None
    cross_entries = [entry for entry in model.provenance if entry.part == "cross-attention"]
    assert {entry.origin for entry in cross_entries} == {"copied"}
    sources = {entry.name: entry.source for entry in cross_entries}
    attention = "decoder.blocks.1.self_attention"
    assert sources["decoder.blocks.1.cross_attention.query.weight"] == f"{attention}.qkv.weight"
    assert sources["decoder.blocks.1.cross_attention.output.bias"] == f"{attention}.output.bias"
    random = {entry.part for entry in model.provenance if entry.origin == "random"}
    assert ("bridge" in random) == (width == 48)


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
@pytest.mark.parametrize("width", [32, 48])
def test_with_a_closed_gate_the_decoder_is_its_checkpoint(
    encoder: str, decoder: str, width: int, checkpoints: Checkpoints
) -> None:
    model = compose(checkpoints, encoder, decoder, "gated", width=width)
    alone = Seq2Seq.warm_start(encoder=None, decoder=checkpoints(decoder))
    sources, targets = examples(model)
    gated = logits_of(model.model, sources, targets)
    # Exactly, with the same arithmetic; and what transformers computes, within rounding.
    with torch.no_grad():
        decoder_alone = alone.model.eval().decoder(Sequences.of(targets))
        states = model.model.decoder(
            Sequences.of(targets),
            model.model.encode(Sequences.of(sources)),
            [len(row) for row in sources],
        )
        assert torch.equal(states, decoder_alone)
        assert torch.equal(gated, alone.model.head(decoder_alone))
    reference = causal_logits(checkpoints(decoder), targets)
    torch.testing.assert_close(gated, reference, rtol=1e-4, atol=1e-4)

    assert model.provenance is not None
    cross = {e.name: e.origin for e in model.provenance if e.part == "cross-attention"}
    assert {name.rpartition(".")[2] for name, origin in cross.items() if origin == "random"} == {
        "gate"
    }
    assert {origin for name, origin in cross.items() if "gate" not in name} == {"copied"}
    gates = [p for name, p in model.model.named_parameters() if name.endswith(".gate")]
    assert [gate.tolist() for gate in gates] == [[0.0], [0.0]]
    with torch.no_grad():
        for gate in gates:
            gate.fill_(0.5)
    opened = logits_of(model.model, sources, targets)
    assert not torch.allclose(opened, gated, atol=1e-3)
    assert not torch.allclose(opened, logits_of(model.model, sources[::-1], targets), atol=1e-4)


def test_a_closed_gate_learns(checkpoints: Checkpoints) -> None:
    model = compose(checkpoints, "bert", "gpt2", "gated")
    sources, targets = examples(model)
    labels = torch.tensor([token for row in targets for token in row])
    loss = model.model(Sequences.of(sources), Sequences.of(targets), labels)
    loss.backward()
    for name, parameter in model.model.named_parameters():
        if name.endswith(".gate"):
            assert parameter.grad is not None
            assert parameter.grad.abs().item() > 0


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
@pytest.mark.parametrize("width", [32, 48])
def test_merging_adds_nothing(
    encoder: str, decoder: str, width: int, checkpoints: Checkpoints
) -> None:
    model = compose(checkpoints, encoder, decoder, "merged", width=width)
    assert model.provenance is not None
    assert "cross-attention" not in model.provenance.parts()
    assert not any("cross_attention" in name for name, _ in model.model.named_parameters())
    # RoBERTa's and BERT's tiny checkpoints have their heads, so a bridge is all that is new.
    assert {entry.part for entry in model.provenance if entry.origin == "random"} == (
        {"bridge"} if width == 48 else set()
    )
    sources, targets = examples(model)
    logits = logits_of(model.model, sources, targets)
    others = logits_of(model.model, sources[::-1], targets)
    assert not torch.allclose(logits, others, atol=1e-3)  # it reads the source


def test_merged_attention_is_one_softmax(checkpoints: Checkpoints) -> None:
    """By hand, for BERT: post-norm, four heads of eight, of the first layer."""
    model = compose(checkpoints, "bert", "bert", "merged").model.eval()
    (block, *_) = model.decoder.blocks
    assert isinstance(block, Block)
    attention = block.self_attention
    generator = torch.Generator().manual_seed(0)
    hidden, states = (
        torch.randn(5, 32, generator=generator),
        torch.randn(3, 32, generator=generator),
    )
    with torch.no_grad():
        found = attention(hidden, [5], None, causal=True, states_SH=states, source_lengths=[3])
        weight, bias = attention.qkv.weight, attention.qkv.bias
        mixed = torch.zeros(5, 32)
        for head in range(4):
            rows = slice(8 * head, 8 * head + 8)
            q = hidden @ weight[:32][rows].T + bias[:32][rows]
            both = torch.cat((states, hidden))
            k = both @ weight[32:64][rows].T + bias[32:64][rows]
            v = both @ weight[64:][rows].T + bias[64:][rows]
            scores = q @ k.T / math.sqrt(8)
            for place in range(5):
                seen = 3 + place + 1  # the whole source, and the target up to here
                weights = scores[place, :seen].softmax(0)
                mixed[place, rows] = weights @ v[:seen]
        expected = attention.norm(hidden + attention.output(mixed))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_merged_attention_with_groups_rotation_and_norms_is_t5gemma2s() -> None:
    config = transformers.T5Gemma2DecoderConfig(
        vocab_size=20,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        query_pre_attn_scalar=9,
        sliding_window=4,
        layer_types=["sliding_attention"],
        attn_logit_softcapping=None,
        attention_dropout=0.0,
    )
    config._attn_implementation = "eager"
    theirs = T5Gemma2MergedAttention(config, 0).eval()
    attention = AttentionConfig(
        heads=4,
        key_value_heads=2,
        head_size=6,
        query_key_value_bias=False,
        output_bias=False,
        scale=9**-0.5,
        query_key_norm=NormConfig(kind="rms", eps=config.rms_norm_eps, unit_offset=True),
    )
    stack = StackConfig(
        hidden_size=24,
        layers=1,
        embedding=EmbeddingConfig(vocabulary=20, size=24),
        attention=attention,
        feed_forward=FeedForwardConfig(size=32),
        norm=NormConfig(kind="rms"),
        norm_order="pre",
        first_attention_norm=False,
        windows=(4,),
        rotary=Rotary(theta=10_000.0, limit=64),
        causal=True,
        cross_attention="merged",
    )
    ours = SelfAttention(stack, 0).eval()
    target, source = 7, 5
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(target, 24, generator=generator)
    states = torch.randn(source, 24, generator=generator)
    assert stack.rotary is not None
    angles = rotation(stack.rotary, 6, torch.arange(target), local=True)
    places = torch.arange(target)
    distance = places[:, None] - places
    visible = torch.cat(
        ((distance >= 0) & (distance < 4), torch.ones(target, source, dtype=torch.bool)), dim=1
    )
    mask = torch.zeros(target, target + source).masked_fill(~visible, float("-inf"))[None, None]
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(0.0, 0.5, generator=generator)
        ours.qkv.weight.copy_(
            torch.cat((theirs.q_proj.weight, theirs.k_proj.weight, theirs.v_proj.weight))
        )
        ours.output.weight.copy_(theirs.o_proj.weight)
        ours.query_norm.weight.copy_(theirs.q_norm.weight)
        ours.key_norm.weight.copy_(theirs.k_norm.weight)
        cosines, sines = (part[:, 0][None] for part in (angles.cosines, angles.sines))
        expected, *_ = theirs(
            hidden[None],
            position_embeddings=(cosines, sines),
            merged_attention_mask=mask,
            encoder_hidden_states=states[None],
        )
        found = ours(
            hidden, [target], angles, causal=True, states_SH=states, source_lengths=[source]
        )
    torch.testing.assert_close(found - hidden, expected[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
@pytest.mark.parametrize("start", STARTS)
def test_a_folder_keeps_the_start(
    encoder: str, decoder: str, start: CrossAttentionStart, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = compose(checkpoints, encoder, decoder, start, width=48)
    with torch.no_grad():
        for name, parameter in model.model.named_parameters():
            if name.endswith(".gate"):
                parameter.fill_(0.3)
    sources, targets = examples(model)
    logits = logits_of(model.model, sources, targets)
    texts = model.generate(["the cat sat", "one bird"], num_beams=3, max_length=9)
    model.save_pretrained(tmp_path / "saved")
    loaded = Seq2Seq.from_pretrained(tmp_path / "saved")
    assert loaded.composition.cross_attention == start
    assert torch.equal(logits_of(loaded.model, sources, targets), logits)
    assert loaded.generate(["the cat sat", "one bird"], num_beams=3, max_length=9) == texts
    assert loaded.provenance is not None
    assert model.provenance is not None
    assert loaded.provenance.counts() == model.provenance.counts()


@pytest.mark.parametrize("start", ["gated", "merged"])
def test_transformers_refuses_in_words_what_it_cannot_hold(
    start: CrossAttentionStart, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    compose(checkpoints, "bert", "gpt2", start).save_pretrained(tmp_path / "saved")
    with pytest.raises((ValueError, KeyError), match="warmstart-gpt2"):
        transformers.EncoderDecoderModel.from_pretrained(tmp_path / "saved")


@pytest.mark.parametrize("decoder", ["bert", "gpt2"])
def test_transformers_computes_a_copy(
    decoder: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    from tests.parity.reference import reference_logits

    model = compose(checkpoints, "bert", decoder, "copy", width=48)
    reference = save_for_reference(model, tmp_path / "saved")
    sources, targets = examples(model)
    torch.testing.assert_close(
        logits_of(model.model, sources, targets),
        reference_logits(reference, model, sources, targets),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("share", CROSS)
@pytest.mark.parametrize("start", ["random", "copy", "gated"])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_shared_projections_are_one(
    family: str,
    start: CrossAttentionStart,
    share: Share,
    checkpoints: Checkpoints,
    tmp_path: Path,
) -> None:
    whole = compose(checkpoints, family, family, start).model
    model = compose(checkpoints, family, family, start, share=share)
    for block in model.model.decoder.blocks:
        assert isinstance(block, Block)
        assert block.cross_attention is not None
        assert block.cross_attention.qkv is block.self_attention.qkv
        assert block.cross_attention.output is block.self_attention.output
        assert block.cross_attention.norm is not block.self_attention.norm
    if share == "cross":
        saved = sum(p.numel() for p in whole.parameters()) - sum(
            p.numel() for p in model.model.parameters()
        )
        assert saved == 2 * (4 * 32 * 32 + 4 * 32)  # four projections a layer
    sources, targets = examples(model)
    logits = logits_of(model.model, sources, targets)
    model.save_pretrained(tmp_path / "once")
    loaded = Seq2Seq.from_pretrained(tmp_path / "once")
    assert loaded.composition.share == share
    assert torch.equal(logits_of(loaded.model, sources, targets), logits)
    with pytest.raises((ValueError, KeyError), match=f"warmstart-{family}"):
        transformers.AutoConfig.from_pretrained(tmp_path / "once")
    model.save_pretrained(tmp_path / "twice", duplicate_shared=True)
    twice = Seq2Seq.from_pretrained(tmp_path / "twice")
    torch.testing.assert_close(logits_of(twice.model, sources, targets), logits)


@pytest.mark.parametrize("start", ["copy", "random"])
def test_projections_shared_are_a_copy_that_stays_one(
    start: CrossAttentionStart, checkpoints: Checkpoints
) -> None:
    """Sharing computes what copying does, as long as the norms beside them are equal."""
    shared = compose(checkpoints, "bert", "bert", start, share="cross")
    copied = compose(checkpoints, "bert", "bert", "copy")
    sources, targets = examples(shared)
    pair = [logits_of(model.model, sources, targets) for model in (shared, copied)]
    assert torch.allclose(*pair, rtol=1e-4, atol=1e-5) == (start == "copy")


def test_a_bert_that_shares_its_projections_runs_in_transformers_when_written_twice(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    from tests.parity.reference import reference_logits

    for family in ("bert", "gpt2"):
        model = compose(checkpoints, "bert", family, "random", share="cross")
        model.save_pretrained(tmp_path / family, duplicate_shared=True)
        reference = transformers.EncoderDecoderModel.from_pretrained(tmp_path / family).eval()
        sources, targets = examples(model)
        torch.testing.assert_close(
            logits_of(model.model, sources, targets),
            reference_logits(reference, model, sources, targets),
            rtol=1e-4,
            atol=1e-5,
        )


def test_refusals(checkpoints: Checkpoints) -> None:
    bert = checkpoints("bert")
    config = {"model_type": "gpt2"}
    with pytest.raises(CompositionError, match="needs an encoder to attend to"):
        configure(Composition(encoder=None, decoder=config, cross_attention="gated"))
    with pytest.raises(CompositionError, match="merged cross-attention has none of its own"):
        check_sharing(
            configure(Composition(encoder=config, decoder=config, cross_attention="merged")),
            "all+cross",
        )
    with pytest.raises(UsageError, match="did you mean 'gated'"):
        Seq2Seq.warm_start(encoder=bert, decoder=bert, cross_attention="gate")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="share is 'crossed'"):
        Seq2Seq.warm_start(encoder=bert, decoder=bert, share="crossed")  # type: ignore[arg-type]
