"""Quantized linear layers for compiled steps of a few rows.

A compiler turns this code into one loop over a layer's weights. Each weight is widened when it is
read and used for all rows; the number of rows must be known at compile time.

Shape legend: R rows (any leading shape), I and O the sizes of a linear layer's input and output,
P a quarter of the inputs, rounded up.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from warmstart.inference.kernels import Float16Linear, Int8Linear
from warmstart.model.copies import replace_modules

__all__ = ["FEW", "for_few_rows"]

# For more rows the kernels of `kernels.py` are as fast, and these loops take minutes to compile.
FEW = 8

_IN_A_WORD = 4  # weights of 8 bits in one of 32


class _Float16Rows(nn.Module):
    """Weights in float16."""

    def __init__(self, layer: Float16Linear) -> None:
        super().__init__()
        weight_OI, bias_O = layer.unpacked()
        self.weight_OI = nn.Buffer(weight_OI.half())
        self.bias_O = None if bias_O is None else nn.Buffer(bias_O)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [R, I] -> [R, O]"""
        weight_OI = self.weight_OI.float()
        products = [(x_I * weight_OI).sum(-1) for x_I in _in_memory(x).unbind()]
        return _rows(products, self.bias_O, x)


class _Int8Rows(nn.Module):
    """Weights in 8 bits; inputs are not rounded."""

    def __init__(self, layer: Int8Linear) -> None:
        super().__init__()
        weight_OI, scales_O, bias_O = layer.unpacked()
        padded_OI = F.pad(weight_OI, (0, -weight_OI.shape[1] % _IN_A_WORD))
        self._padding = padded_OI.shape[1] - weight_OI.shape[1]
        by_word_OP4 = torch.stack(padded_OI.chunk(_IN_A_WORD, dim=1), dim=-1)
        # Four weights in the memory of a float32, which compiled code reads eight at a time;
        # vectors of integers it would copy first.
        self.words_OP = nn.Buffer(by_word_OP4.view(torch.float32)[..., 0])
        self.scales_O = nn.Buffer(scales_O)
        self.bias_O = None if bias_O is None else nn.Buffer(bias_O)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [R, I] -> [R, O]"""
        words_OP = self.words_OP.view(torch.int32)
        # The lowest byte first: each is shifted to the top, and back with its sign.
        weights = [((words_OP << (24 - 8 * at)) >> 24).float() for at in range(_IN_A_WORD)]
        padded = F.pad(x, (0, self._padding)) if self._padding else x
        products = []
        for x_I in _in_memory(padded).unbind():
            parts = x_I.unflatten(0, (_IN_A_WORD, -1)).unbind()
            terms = [part_P * weight for part_P, weight in zip(parts, weights, strict=True)]
            sums_OP = (terms[0] + terms[1]) + (terms[2] + terms[3])
            products.append(sums_OP.sum(-1) * self.scales_O)
        return _rows(products, self.bias_O, x)


def for_few_rows(module: nn.Module) -> nn.Module:
    """A copy of a quantized tree, see `convert.py`, with linear layers for a compiler."""

    def other(module: nn.Module) -> nn.Module | None:
        if isinstance(module, Int8Linear):
            return _Int8Rows(module)
        return _Float16Rows(module) if isinstance(module, Float16Linear) else None

    return replace_modules(module, other)


def _in_memory(x: Tensor) -> Tensor:
    """A matrix that a compiler computes once before the loop, not for each output.

    Shape: [R, I] -> [R, I], with one leading shape
    """
    rows = x.flatten(0, -2)
    return rows.contiguous().as_strided(rows.shape, (rows.shape[1], 1))


def _rows(products: list[Tensor], bias_O: Tensor | None, x: Tensor) -> Tensor:
    """The outputs of all rows, in the shape of x. Shape: [O] each -> [R, O]"""
    output: Tensor = torch.stack(products).unflatten(0, x.shape[:-1])
    return output if bias_O is None else output + bias_O
