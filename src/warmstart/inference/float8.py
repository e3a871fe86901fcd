"""Linear layers of 8-bit floating-point numbers, for GPUs that multiply them.

float8_e4m3fn has a mantissa of 3 bits and a largest number of 448 (Micikevicius et al. 2022, FP8
Formats for Deep Learning). Each output of a layer has a scale, and each row of its input gets one
when it is computed, so that a row's output does not depend on the other rows.

Shape legend: R rows (any leading shape), I and O the sizes of a linear layer's input and output,
both rounded up to a multiple that the kernels accept.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["OLDEST_FLOAT8_GPU", "Float8Linear"]

OLDEST_FLOAT8_GPU = (9, 0)  # compute capability (Hopper) whose kernels take a scale for each row
_TYPE = torch.float8_e4m3fn
_LARGEST = torch.finfo(_TYPE).max
_MULTIPLE = 16  # of both sizes, required by the kernels


class Float8Linear(nn.Module):
    """A linear layer with weights of 8 bits; inputs are rounded when computed."""

    weight_IO: Tensor
    scales_1O: Tensor

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        self._outputs, inputs = weight_OI.shape
        self._padding = -inputs % _MULTIPLE
        padded_OI = F.pad(
            weight_OI.detach().float(), (0, self._padding, 0, -self._outputs % _MULTIPLE)
        )
        scales_O1 = _scales(padded_OI)
        # The kernels need the second matrix by columns.
        self.register_buffer("weight_IO", (padded_OI / scales_O1).to(_TYPE).t())
        self.register_buffer("scales_1O", scales_O1.t().contiguous())
        self.bias_O = None if bias_O is None else nn.Buffer(bias_O.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [R, I] -> [R, O]"""
        rows_RI = F.pad(x.flatten(0, -2).float(), (0, self._padding))
        scales_R1 = _scales(rows_RI)
        product_RO = torch._scaled_mm(
            (rows_RI / scales_R1).to(_TYPE),
            self.weight_IO,
            scale_a=scales_R1,
            scale_b=self.scales_1O,
            out_dtype=torch.bfloat16,  # the only one for row-wise scales
        )
        output: Tensor = product_RO[:, : self._outputs].to(x.dtype).unflatten(0, x.shape[:-1])
        return output if self.bias_O is None else output + self.bias_O


def _scales(rows_RI: Tensor) -> Tensor:
    """Scales by which each row's maximum is the largest number. Shape: [R, I] -> [R, 1]"""
    # A row of zeros has no scale of its own.
    greatest_R1 = rows_RI.abs().amax(1, keepdim=True)
    return (greatest_R1 / _LARGEST).clamp_min(torch.finfo(torch.float32).tiny)
