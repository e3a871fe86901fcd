"""Linear layers and word vectors with weights in the layout of a CPU's kernels.

Shape legend: R rows (any leading shape), I and O the sizes of a linear layer's input and output,
T tokens (any leading shape), V vocabulary, E embedding size.
"""

import warnings

import torch
from torch import Tensor, nn

__all__ = ["Float16Linear", "Float16Words", "Float32Linear", "Int8Linear", "Int8Words"]

_PACKED_ROWS = 8  # rows that oneDNN optimizes the layout for; good from 1 to some hundred
_PIECE = 1024  # word vectors rounded at a time, because tables are large


class Float32Linear(nn.Module):
    """A linear layer in oneDNN's layout: a copy, in addition to the layer itself."""

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        self._weight, self._bias = weight_OI.detach(), _detached(bias_O)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(self._weight, _PACKED_ROWS)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [R, I] -> [R, O]"""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self._bias, "none", [], ""
        )
        return product


class Float16Linear(nn.Module):
    """A linear layer with weights in float16 and sums in float32."""

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        weight = weight_OI.detach().float()
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight, _float(bias_O))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [R, I] -> [R, O]"""
        product: Tensor = torch.ops.quantized.linear_dynamic_fp16(x, self._packed)
        return product

    def unpacked(self) -> tuple[Tensor, Tensor | None]:
        """Weight, in float32, and bias. Shape: [O, I] and [O]"""
        weight_OI, bias_O = torch.ops.quantized.linear_unpack_fp16(self._packed)
        return weight_OI, bias_O


class Int8Linear(nn.Module):
    """A linear layer of 7-bit weights, scaled by output; inputs are rounded when computed."""

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        weight = weight_OI.detach().float()
        # Weights of 7 bits and inputs of 8: two products of 8 bits each overflow AVX2's
        # accumulator, and inputs, which share one scale, lose more by a bit than weights.
        scales_O = _scales(weight, 63).double()
        zeros_O = torch.zeros_like(scales_O, dtype=torch.long)
        with warnings.catch_warnings():  # of names that will move to another package
            warnings.simplefilter("ignore")
            rounded = torch.quantize_per_channel(weight, scales_O, zeros_O, 0, torch.qint8)
            self._packed = torch.ops.quantized.linear_prepack(rounded, _float(bias_O))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [R, I] -> [R, O]"""
        product: Tensor = torch.ops.quantized.linear_dynamic(x, self._packed, False)
        return product

    def unpacked(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Integer weight, its scales, and bias. Shape: [O, I], [O] and [O]"""
        weight_OI, bias_O = torch.ops.quantized.linear_unpack(self._packed)
        return weight_OI.int_repr(), weight_OI.q_per_channel_scales().float(), bias_O


class Int8Words(nn.Module):
    """Word vectors of 8 bits, scaled by word."""

    rows_VE: Tensor
    scales_V: Tensor

    def __init__(self, weight_VE: Tensor) -> None:
        super().__init__()
        weight = weight_VE.detach().float()
        self.register_buffer("scales_V", _scales(weight, 127))
        pieces = zip(weight.split(_PIECE), self.scales_V.split(_PIECE), strict=True)
        rounded = [(rows / scales[:, None]).round_().to(torch.int8) for rows, scales in pieces]
        self.register_buffer("rows_VE", torch.cat(rounded))

    def forward(self, tokens_T: Tensor) -> Tensor:
        """Shape: [T] -> [T, E]"""
        vectors: Tensor = self.rows_VE[tokens_T] * self.scales_V[tokens_T][..., None]
        return vectors


class Float16Words(nn.Module):
    """Word vectors in float16, returned in float32."""

    rows_VE: Tensor

    def __init__(self, weight_VE: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows_VE", weight_VE.detach().half())

    def forward(self, tokens_T: Tensor) -> Tensor:
        """Shape: [T] -> [T, E]"""
        vectors: Tensor = self.rows_VE[tokens_T].float()
        return vectors


def _scales(weight_OI: Tensor, steps: int) -> Tensor:
    """Scales by which `steps` is a row's greatest value. Shape: [O]"""
    # A row of zeros has no scale of its own.
    greatest_O = torch.maximum(weight_OI.amax(1), -weight_OI.amin(1))
    return (greatest_O / steps).clamp_min(torch.finfo(torch.float32).tiny)


def _float(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach().float()


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()
