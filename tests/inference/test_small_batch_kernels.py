"""Layers for compiled steps of a few rows: products with the very weights that are held."""

import pytest
import torch
from tests.inference.test_convert import COMPOSITIONS
from tests.model.test_encoder_decoder import random_model
from torch import nn

from warmstart.inference.convert import quantize
from warmstart.inference.kernels import Float16Linear, Int8Linear
from warmstart.inference.small_batch_kernels import for_few_rows
from warmstart.inference.traced_step import StepForm, TracedStep, arguments, traced
from warmstart.model.sequences import Sequences


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (3,)])
@pytest.mark.parametrize("sizes", [(8, 5), (7, 6), (1, 3)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_products_are_those_of_the_rounded_weights(
    shape: tuple[int, ...], sizes: tuple[int, int], with_bias: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, outputs = sizes
    weight = torch.randn(outputs, inputs, generator=generator)
    weight[0] = 0.0  # a row that has no scale of its own
    bias = torch.randn(outputs, generator=generator) if with_bias else None
    x = torch.randn(*shape, inputs, generator=generator)
    halved = for_few_rows(Float16Linear(weight, bias))
    torch.testing.assert_close(halved(x), nn.functional.linear(x, weight.half().float(), bias))
    # As Int8Linear says: 63 steps to each side of zero.
    steps = (weight.abs().amax(1, keepdim=True) / 63).clamp_min(1e-30)
    rounded = (weight / steps).round() * steps
    eight = for_few_rows(Int8Linear(weight, bias))
    torch.testing.assert_close(eight(x), nn.functional.linear(x, rounded, bias))


@pytest.mark.parametrize(
    ("name", "kind", "beams"),  # not each with each, for a trace takes seconds
    [
        ("plain", "int8", 1),
        pytest.param("transform", "float16", 3, marks=pytest.mark.slow),
        pytest.param("merged", "int8", 3, marks=pytest.mark.slow),
        pytest.param("words", "int8", 2, marks=pytest.mark.slow),
    ],
)
def test_a_traced_step_is_near_the_reduced_model_s(name: str, kind: str, beams: int) -> None:
    model = quantize(random_model(COMPOSITIONS[name]).eval(), kind)
    step, form = for_few_rows(TracedStep(model)), StepForm(beams, False, False)
    assert isinstance(step, TracedStep)
    assert not any(isinstance(each, Int8Linear | Float16Linear) for each in step.modules())
    module = traced(step, form).module()
    with torch.inference_mode():
        source = Sequences.of([[3, 4, 5]])
        ours, theirs = model.start(source, 12, beams), model.start(source, 12, beams)
        for at in range(3):
            given = (torch.arange(beams)[:, None] + at) % 7
            found = module(*arguments(given, theirs))
            theirs.advance(1)
            expected = model.step(given, ours)
            # int8's own kernels round the inputs, too.
            apart = (found - expected).pow(2).mean().sqrt() / expected.std()
            assert float(apart) < (0.005 if kind == "float16" else 0.3)


def test_shared_layers_stay_shared() -> None:
    layer = Int8Linear(torch.ones(4, 4), None)
    made = for_few_rows(nn.ModuleList([layer, nn.Sequential(layer)]))
    assert made[0] is made[1][0]  # type: ignore[index]
