"""What is computed again for the backward pass is what was computed before."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.model.stacks import CONFIGS
from torch import Tensor, nn

from warmstart.model import feedforward
from warmstart.model.feedforward import FeedForward


@pytest.mark.parametrize("name", ["post-norm", "pre-norm", "grouped queries"])
def test_gradients_are_those_of_values_that_are_kept(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    config = CONFIGS[name]
    layer = FeedForward(config).train()
    # As an adapter's, which draws where this module does not know of it.
    layer.down = nn.Sequential(nn.Dropout(0.5), layer.down)  # type: ignore[assignment]
    x = torch.randn(6, config.hidden_size, requires_grad=True)

    def gradients() -> tuple[Tensor, ...]:
        torch.manual_seed(1)
        return torch.autograd.grad(layer(x, x).square().sum(), (x, *layer.parameters()))

    again = gradients()

    def kept(function: Callable[..., Tensor], *given: Tensor, **_: Any) -> Tensor:
        return function(*given)

    monkeypatch.setattr(feedforward, "checkpoint", kept)
    for ours, expected in zip(again, gradients(), strict=True):
        assert torch.equal(ours, expected)
