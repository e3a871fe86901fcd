"""LayerNorm and RMSNorm, chosen by `NormConfig`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from warmstart.model.config import AttentionConfig, NormConfig

__all__ = ["LayerNorm", "RMSNorm", "head_norm", "norm"]


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


class JointRMSNorm(RMSNorm):
    """`RMSNorm` over the vectors of all heads together."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [..., heads, D] -> [..., heads, D], with size = heads * D."""
        return super().forward(x.flatten(-2)).view_as(x)


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


def head_norm(config: AttentionConfig, heads: int) -> nn.Module:
    """The norm of queries or keys, which have a number of heads."""
    kind = config.query_key_norm
    assert kind is not None
    if config.joint_query_key_norm:
        assert kind.kind == "rms"
        return JointRMSNorm(heads * config.head_size, kind.eps, kind.unit_offset)
    return norm(kind, config.head_size)
