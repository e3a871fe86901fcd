"""What the processes of a run do together: agree, and average their gradients.

The passes of a step are each process's own affair; nothing is sent before the last of them is
done. `DistributedDataParallel` sends gradients while the last pass is still under way, and a
process that runs out of memory there could not take back what it has sent: the others would add it
up, or wait for the rest for ever.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import torch
from torch import Tensor, distributed, nn

__all__ = ["average_gradients", "broadcast", "greatest"]

_BUCKET: Final = 2**23  # elements that are sent together: enough to fill a network, and no more


def greatest(values: Sequence[int], device: torch.device) -> list[int]:
    """The greatest of each value over all processes, which all call it."""
    together = torch.tensor(values, dtype=torch.int64, device=device)
    distributed.all_reduce(together, distributed.ReduceOp.MAX)
    return together.tolist()


def broadcast(parameters: Iterable[nn.Parameter]) -> None:
    """Gives all processes the first one's values."""
    for parameter in parameters:
        distributed.broadcast(parameter.data, src=0)


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replaces each gradient by its mean over all processes, which all call it.

    A parameter that has a gradient in some processes only, as where one had no example, counts as
    0 in the others. One that has none anywhere gets none, so that the optimizer leaves it alone.
    """
    if not parameters:
        return
    device = parameters[0].device
    used = greatest([parameter.grad is not None for parameter in parameters], device)
    gradients = []
    for parameter, is_used in zip(parameters, used, strict=True):
        if is_used:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
    count = distributed.get_world_size()
    sent = []
    for bucket in _buckets(gradients):
        flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
        sent.append((bucket, flat, distributed.all_reduce(flat, async_op=True)))
    for bucket, flat, work in sent:
        work.wait()
        flat /= count
        parts = flat.split([gradient.numel() for gradient in bucket])
        for gradient, part in zip(bucket, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def _buckets(gradients: Sequence[Tensor]) -> Iterable[list[Tensor]]:
    """Neighbours of one type, together not much larger than a bucket."""
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        if bucket and (size >= _BUCKET or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.numel()
    if bucket:
        yield bucket
