"""Linear layers of 8-bit floating-point numbers, for GPUs that multiply them.

float8_e4m3fn has 3 bits of mantissa and a largest number of 448 (Micikevicius et al. 2022, FP8
Formats for Deep Learning). Each output of a layer has a scale, and each row of its input gets one
as it comes, so that what a row gives does not depend on the rows beside it.

Shape legend: R rows (any leading shape), I and O the sizes of a linear layer's input and output,
both rounded up to what the kernels take.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["OLDEST_FLOAT8_GPU", "Float8Linear"]

OLDEST_FLOAT8_GPU = (9, 0)  # compute capability (Hopper) whose kernels take a scale for each row
_TYPE = torch.float8_e4m3fn
_LARGEST = torch.finfo(_TYPE).max
_MULTIPLE = 16  # of which the kernels want both sizes to be


class Float8Linear(nn.Module):
    """A linear layer whose weights are held in 8 bits; inputs are rounded as they come."""

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
        # The kernels want the second matrix by columns.
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
            out_dtype=torch.bfloat16,  # the one that row-wise scales go with
        )
        found: Tensor = product_RO[:, : self._outputs].to(x.dtype).unflatten(0, x.shape[:-1])
        return found if self.bias_O is None else found + self.bias_O


def _scales(rows_RI: Tensor) -> Tensor:
    """What makes each row's greatest value the largest number. Shape: [R, I] -> [R, 1]"""
    # A row of zeros has no scale of its own.
    greatest_R1 = rows_RI.abs().amax(1, keepdim=True)
    return (greatest_R1 / _LARGEST).clamp_min(torch.finfo(torch.float32).tiny)
