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
        # No module where there is none: a rate that is set for training is for those that are.
        rate = self.config.dropout
        self.inner_dropout = nn.Dropout(rate) if rate else nn.Identity()

    def forward(self, hidden_TH: Tensor, read_TH: Tensor) -> Tensor:
        """Adds to one what it makes of the other, mostly the same. Shape: [T, H] -> [T, H]"""
        inner = self.up(self.enter(read_TH))
        if inner.requires_grad and not torch.compiler.is_compiling():
            # Of all that a layer keeps for its backward the activated values are the most, and
            # they are quickly computed again. A compiler decides by itself.
            output = checkpoint(
                # An adapter in `down` may drop some of what it reads: again the same.
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
