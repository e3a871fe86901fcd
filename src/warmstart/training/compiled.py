"""Token-wise layers as compiled kernels while a model is trained.

Only operations on single tokens are compiled: with the number of tokens dynamic, one graph serves
batches of every shape. Attention depends on the lengths in a batch and has fused kernels already.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from warmstart.model.feedforward import FeedForward

__all__ = ["compiled_layers"]


@contextmanager
def compiled_layers(
    model: nn.Module, backend: str | Callable[..., object] = "inductor"
) -> Iterator[None]:
    """Runs feed-forward layers, with their norm and residual, compiled within the block.

    Evaluations run uncompiled. The first step compiles once for each configuration of layers,
    not for each layer or batch.

    Args:
        model: has the layers.
        backend: of `torch.compile`.
    """
    forward = torch.compile(FeedForward.forward, dynamic=True, backend=backend)
    layers = [module for module in model.modules() if isinstance(module, FeedForward)]
    for layer in layers:
        layer.__dict__["forward"] = _in_training(layer, forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


def _in_training(layer: FeedForward, forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(hidden_TH: Tensor, read_TH: Tensor) -> Tensor:
        if layer.training and torch.is_grad_enabled():
            return forward(layer, hidden_TH, read_TH)
        return FeedForward.forward(layer, hidden_TH, read_TH)

    return run
