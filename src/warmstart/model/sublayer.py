"""The residual connection and the norms of attention and feed-forward."""

import torch
from torch import Tensor, nn

from warmstart.model.config import StackConfig
from warmstart.model.norm import norm

__all__ = ["Sublayer"]


class Sublayer(nn.Module):
    """Computes ``x + f(x)``, with norms in the stack's order.

    post: ``norm(x + f(x))``; pre: ``x + f(norm(x))``; sandwich: ``x + output_norm(f(norm(x)))``;
    output: ``x + norm(f(x))``.
    A gated sublayer scales its output by ``tanh(gate)``, and is never post-norm: with a gate of
    zero it leaves x unchanged.
    """

    def __init__(self, config: StackConfig, *, normed: bool = True, gated: bool = False) -> None:
        super().__init__()
        self.order = "pre" if gated and config.norm_order == "post" else config.norm_order
        self.norm = norm(config.norm, config.hidden_size) if normed else nn.Identity()
        if self.order == "sandwich":
            self.output_norm = norm(config.norm, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.scale = config.residual_scale
        self.gate = nn.Parameter(torch.empty(1)) if gated else None

    def enter(self, hidden: Tensor) -> Tensor:
        """The input of f. Shape: unchanged."""
        return hidden if self.order in ("post", "output") else self._normed(hidden)

    def leave(self, hidden: Tensor, output: Tensor) -> Tensor:
        """Adds f's output to the residual. Shape: unchanged."""
        match self.order:
            case "post":
                return self._normed(hidden + self._dropped(output))
            case "pre":
                return hidden + self._dropped(output)
            case "sandwich":
                return hidden + self._dropped(self.output_norm(output))
            case "output":
                return hidden + self._dropped(self._normed(output))

    def _normed(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(x)
        return normed

    def _dropped(self, x: Tensor) -> Tensor:
        dropped: Tensor = self.dropout(x)
        if self.scale != 1.0:
            dropped = dropped * self.scale
        return dropped if self.gate is None else self.gate.tanh() * dropped
