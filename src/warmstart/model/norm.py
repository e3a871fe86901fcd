"""LayerNorm and RMSNorm, chosen by `NormConfig`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from warmstart.model.config import NormConfig

__all__ = ["LayerNorm", "RMSNorm", "norm"]


class RMSNorm(nn.Module):
    """Root mean square norm (Zhang and Sennrich 2019), computed in float32."""

    def __init__(self, size: int, eps: float, unit_offset: bool) -> None:
        super().__init__()
        self.eps = eps
        self.unit_offset = unit_offset
        self.weight = nn.Parameter(torch.empty(size))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [..., size] -> [..., size]."""
        normed = x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + self.eps)
        if self.unit_offset:
            # Gemma multiplies in float32 and rounds once; Llama rounds before the weight.
            return (normed * (1.0 + self.weight.float())).type_as(x)
        return self.weight * normed.type_as(x)


class LayerNorm(nn.LayerNorm):
    """torch's LayerNorm, with its input cast to the weight's type under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [..., D] -> the same."""
        return F.layer_norm(
            x.to(self.weight.dtype), self.normalized_shape, self.weight, self.bias, self.eps
        )


def norm(config: NormConfig, size: int) -> nn.Module:
    """The norm that a config describes, over vectors of a size."""
    if config.kind == "rms":
        return RMSNorm(size, config.eps, config.unit_offset)
    return LayerNorm(size, config.eps, bias=config.bias)
