"""What the processes of a run do together: agree, average their gradients, and end.

The passes of a step are each process's own affair; nothing is sent before the last of them is
done. `DistributedDataParallel` sends gradients while the last pass is still under way, and a
process that runs out of memory there could not take back what it has sent: the others would add it
up, or wait for the rest for ever.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

import torch
from torch import Tensor, distributed, nn

from warmstart.errors import TrainingError, WarmstartError

__all__ = ["average_gradients", "broadcast", "gathered", "greatest", "together", "told_of_others"]

_Told = TypeVar("_Told")
_BUCKET: Final = 2**23  # elements that are sent together: enough to fill a network, and no more


@contextmanager
def together() -> Iterator[None]:
    """A block that ends in an error in all processes if it does so in one of them.

    That one would else be gone while the others wait for it. All enter the block, and nothing is
    sent within.

    Raises:
        TrainingError: what another process has said, if this one had no error of its own.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    told = gathered(None if failure is None else _sentence(failure))
    if failure is not None:
        if isinstance(failure, WarmstartError) and len(told) > 1:
            failure.everywhere = True
        raise failure
    for sentence in told:
        if sentence is not None:
            raise _of_all(sentence)


@contextmanager
def told_of_others() -> Iterator[None]:
    """Ends a process in a sentence when another one is gone, without which it cannot go on.

    Raises:
        TrainingError: instead of the error of what connects them.
    """
    try:
        yield
    except RuntimeError as error:
        gloo = "third_party/gloo" in str(error)
        if not (gloo or isinstance(error, distributed.DistBackendError)):
            raise
        said = str(error).partition("\n")[0]
        if gloo:
            said = said.partition("] ")[2].partition(". ")[0]
        raise _of_all(
            f"Another process of this run has ended or cannot be reached ({said}), and this one "
            "with it. If that one does not say why, it was killed; start all of them again with "
            "--auto-resume."
        ) from None


def _several() -> bool:
    return distributed.is_initialized() and distributed.get_world_size() > 1


def gathered(own: _Told) -> list[_Told]:
    """What each process has to tell, in their order; all of them call it."""
    if not _several():
        return [own]
    told = [own] * distributed.get_world_size()
    distributed.all_gather_object(told, own)
    return told


def _sentence(error: Exception) -> str:
    if isinstance(error, WarmstartError):
        return str(error)
    return f"Another process of this run has failed with {type(error).__name__}; it says more."


def _of_all(sentence: str) -> TrainingError:
    error = TrainingError(sentence)
    error.everywhere = True
    return error


def greatest(values: Sequence[int], device: torch.device) -> list[int]:
    """The greatest of each value over all processes, which all call it."""
    agreed = torch.tensor(values, dtype=torch.int64, device=device)
    distributed.all_reduce(agreed, distributed.ReduceOp.MAX)
    return agreed.tolist()


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
