"""Weights laid out or rounded for decoding: the same model, as exactly as they can."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tests.model.stacks import CONFIGS
from tests.model.test_encoder_decoder import CONFIG, STACK, random_batch, random_model

from warmstart.composition.sharing import share
from warmstart.errors import UsageError
from warmstart.inference.convert import (
    convert,
    is_quantized,
    prepare_for_decoding,
    quantize,
    require_full_precision,
    with_float8,
)
from warmstart.inference.float8 import Float8Linear
from warmstart.model.config import EncoderDecoderConfig, HeadConfig, NormConfig
from warmstart.model.copies import materialize
from warmstart.model.encoder_decoder import EncoderDecoder

NORM = NormConfig()
TRANSFORM = HeadConfig(bias=True, transform="gelu", transform_norm=NORM)
COMPOSITIONS = {
    "plain": CONFIG,
    "transform": replace(CONFIG, head=TRANSFORM),
    "untied": replace(CONFIG, head=HeadConfig(tied=False)),
    "merged": replace(CONFIG, decoder=replace(STACK, cross_attention="merged")),
    "prefix": EncoderDecoderConfig(encoder=None, decoder=STACK, head=HeadConfig()),
    "words": replace(CONFIG, shared_words=True),
    **{
        name: replace(CONFIG, decoder=replace(config, cross_attention="plain"))
        for name, config in CONFIGS.items()
        if config.embedding.size == STACK.embedding.size == config.hidden_size
    },
}


def model_of(name: str) -> EncoderDecoder:
    if name in ("all", "cross"):
        model = random_model()
        share(model, "cross" if name == "cross" else "all+cross")
        return model
    return random_model(COMPOSITIONS[name])


def step_by_step(model: EncoderDecoder) -> torch.Tensor:
    """Logits of two steps of two tokens, two beams a source."""
    source, _, _ = random_batch()
    with torch.inference_mode():
        cache = model.start(source, 4, 2)
        tokens = torch.arange(24).view(6, 4) % 5
        return torch.cat([model.step(tokens[:, at : at + 2], cache) for at in (0, 2)], dim=1)


@pytest.mark.parametrize("name", [*COMPOSITIONS, "all", "cross"])
def test_reduced_and_laid_out_models_compute_the_same(name: str) -> None:
    model = model_of(name)
    source, target, labels = random_batch()
    with torch.inference_mode():
        expected, steps = model(source, target), step_by_step(model)
        torch.testing.assert_close(prepare_for_decoding(model)(source, target), expected)
        torch.testing.assert_close(step_by_step(prepare_for_decoding(model)), steps)
        for kind, error in (("float16", 0.005), ("int8", 0.3)):
            other = quantize(model, kind)
            assert is_quantized(other)
            assert prepare_for_decoding(other) is other
            for found, exact in (
                (other(source, target), expected),
                (step_by_step(other), steps),
            ):
                assert float((found - exact).pow(2).mean().sqrt() / exact.std()) < error
            loss = other(source, target, labels, label_smoothing=0.1)
            own = F.cross_entropy(other(source, target), labels, label_smoothing=0.1)
            torch.testing.assert_close(loss, own)


@pytest.mark.parametrize("name", [*COMPOSITIONS, "all", "cross"])
def test_8_bit_floats_compute_nearly_the_same(name: str) -> None:
    model = model_of(name)
    source, target, _ = random_batch()
    with torch.inference_mode():
        expected, steps = model(source, target), step_by_step(model)
        made = with_float8(model)
        assert is_quantized(made)
        assert prepare_for_decoding(made) is made
        for found, exact in ((made(source, target), expected), (step_by_step(made), steps)):
            assert 0 < float((found - exact).pow(2).mean().sqrt() / exact.std()) < 0.3


def test_a_row_of_8_bit_floats_is_by_itself() -> None:
    generator = torch.manual_seed(0)
    # Sizes that the kernels do not take, a row of zeros, and rows that are far apart.
    weight = torch.randn((21, 18), generator=generator) * torch.logspace(-4, 4, 21)[:, None]
    rows = torch.randn((2, 4, 18), generator=generator) * torch.logspace(-3, 3, 4)[:, None]
    rows[1, 2] = 0
    layer = Float8Linear(weight, torch.arange(21.0))
    found = layer(rows)
    exact = F.linear(rows, weight)
    apart = (found - torch.arange(21.0) - exact).norm(dim=-1) / exact.norm(dim=-1).clamp_min(1e-9)
    assert found.shape == exact.shape
    assert float(apart.max()) < 0.1
    torch.testing.assert_close(layer(rows[:1, :1]), found[:1, :1], rtol=0, atol=0)
    with pytest.raises(UsageError, match="dtype 'float8' is for GPUs, but the device is cpu"):
        convert(random_model(), "cpu", "float8")


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
@pytest.mark.parametrize("name", ["plain", "transform", "prefix", "words", "all", "cross"])
def test_weights_that_come_when_they_are_needed_make_the_same_model(name: str, kind: str) -> None:
    model = model_of(name)
    outline = deepcopy(model)
    materialize(outline, lambda weight: torch.empty(weight.shape, device="meta"))
    names = outline.named_parameters(remove_duplicate=False)
    weights = {id(weight): model.get_parameter(name) for name, weight in names}
    made = convert(outline, "cpu", kind, value=lambda weight: weights[id(weight)])
    whole = convert(model, "cpu", kind)
    source, target, _ = random_batch()
    with torch.inference_mode():
        assert torch.equal(made(source, target), whole(source, target))
        assert torch.equal(step_by_step(made), step_by_step(whole))
    assert [*made.state_dict()] == [*whole.state_dict()]
    assert len([*made.parameters()]) == len([*whole.parameters()])  # what is shared counts once
    before = made(source, target)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()  # as a file's memory that goes away
    torch.testing.assert_close(made(source, target), before, rtol=0, atol=0)


def test_a_layout_is_made_anew_when_weights_change() -> None:
    model = random_model()
    source, target, _ = random_batch()
    first = prepare_for_decoding(model)
    assert prepare_for_decoding(model) is first
    with torch.no_grad():
        model.decoder.blocks[0].feed_forward.up.weight.mul_(2)  # type: ignore[union-attr,operator]
    assert prepare_for_decoding(model) is not first
    with torch.inference_mode():
        ready = prepare_for_decoding(model)
        torch.testing.assert_close(ready(source, target), model(source, target))
    model.train()
    with torch.no_grad():
        model.head.weight.mul_(2)
    assert prepare_for_decoding(model) is not prepare_for_decoding(model)
    assert model.encoder is not None
    assert model.encoder.training
    assert prepare_for_decoding(model.double()) is model


def test_shared_words_are_held_once() -> None:
    model = model_of("words")
    for kind in ("float16", "int8"):
        other = quantize(model, kind)
        assert other.encoder is not None
        assert other.encoder.embedding.word is other.decoder.embedding.word
        # The matrices are gone; what is left in float32 is vectors and places.
        floats = sum(p.numel() for p in other.parameters())
        assert floats < sum(p.numel() for p in model.parameters()) / 3


def test_what_cannot_be_asked_for() -> None:
    model = random_model()
    with pytest.raises(UsageError, match="no dtype 'int9'; did you mean 'int8'"):
        convert(model, "cpu", "int9")
    with pytest.raises(UsageError, match="'int8' is for CPUs"):
        convert(model, "meta", "int8")
    require_full_precision(model, "trained")
    with pytest.raises(UsageError, match="cannot be trained"):
        require_full_precision(quantize(model, "int8"), "trained")
    assert next(convert(model, "cpu", "bfloat16").parameters()).dtype == torch.bfloat16
