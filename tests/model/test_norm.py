"""Norms equal their formulas, and transformers' where rounding matters."""

import pytest
import torch
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from warmstart.model.config import NormConfig
from warmstart.model.norm import norm

SIZE = 10
X = 3 * torch.randn(7, SIZE, generator=torch.Generator().manual_seed(0)) + 1


def test_rms_norm_is_its_formula() -> None:
    layer = norm(NormConfig(kind="rms", eps=1e-3), SIZE)
    torch.nn.init.normal_(layer.weight)
    mean_square = X.double().square().mean(-1, keepdim=True)
    expected = X.double() / (mean_square + 1e-3).sqrt() * layer.weight.double()
    torch.testing.assert_close(layer(X).double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("unit_offset", [False, True])
def test_rms_norm_rounds_as_transformers_does(dtype: torch.dtype, unit_offset: bool) -> None:
    reference = (Gemma2RMSNorm if unit_offset else LlamaRMSNorm)(SIZE, eps=1e-6)
    torch.nn.init.normal_(reference.weight)
    layer = norm(NormConfig(kind="rms", eps=1e-6, unit_offset=unit_offset), SIZE)
    layer.load_state_dict(reference.state_dict())
    layer, reference = layer.to(dtype), reference.to(dtype)
    assert layer(X.to(dtype)).dtype == dtype
    assert torch.equal(layer(X.to(dtype)), reference(X.to(dtype)))


@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm_is_its_formula(bias: bool) -> None:
    layer = norm(NormConfig(eps=1e-2, bias=bias), SIZE)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    assert len(list(layer.parameters())) == 1 + bias
    x = X.double()
    centred = x - x.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + 1e-2).sqrt()
    expected = expected * layer.weight.double() + (layer.bias.double() if bias else 0)
    torch.testing.assert_close(layer(X).double(), expected, rtol=1e-5, atol=1e-6)


def test_layer_norm_takes_what_autocast_hands_on() -> None:
    layer = norm(NormConfig(eps=1e-5), SIZE)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(X.bfloat16()).dtype == torch.float32
