"""The feed-forward sublayer, plain or gated. Shape legend: T tokens, H hidden size."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from warmstart.model.config import Activation, StackConfig
from warmstart.model.sublayer import Sublayer

__all__ = ["FeedForward", "activate"]


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Applies an activation by its name in the config. Shape: unchanged."""
    match activation:
        case "gelu":
            return F.gelu(x)
        case "gelu_tanh":
            return F.gelu(x, approximate="tanh")
        case "silu":
            return F.silu(x)
        case "relu":
            return F.relu(x)


class FeedForward(Sublayer):
    """Up, activation, down; a gated one has two halves in `up`: the gate, then the values."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__(config)
        self.config = config.feed_forward
        size, bias = self.config.size, self.config.bias
        self.up = nn.Linear(config.hidden_size, 2 * size if self.config.gated else size, bias)
        self.down = nn.Linear(size, config.hidden_size, bias)
        # No Dropout at rate 0: training sets the rate of existing ones.
        rate = self.config.dropout
        self.inner_dropout = nn.Dropout(rate) if rate else nn.Identity()

    def forward(self, hidden_TH: Tensor, read_TH: Tensor) -> Tensor:
        """Adds the output for `read_TH`, usually `hidden_TH` too. Shape: [T, H] -> [T, H]"""
        inner = self.up(self.enter(read_TH))
        if inner.requires_grad and not torch.compiler.is_compiling():
            # The activated values are most of the memory kept for the backward pass, and cheap to
            # compute again. A compiler decides for itself.
            output = checkpoint(
                # An adapter in `down` may have dropout, which must repeat.
                self._down,
                inner,
                use_reentrant=False,
                preserve_rng_state=self.training,
            )
        else:
            output = self._down(inner)
        return self.leave(hidden_TH, output)

    def _down(self, inner: Tensor) -> Tensor:
        if self.config.gated:
            gate, values = inner.chunk(2, dim=-1)
            inner = activate(gate, self.config.activation) * values
        else:
            inner = activate(inner, self.config.activation)
        output: Tensor = self.down(self.inner_dropout(inner))
        return output
