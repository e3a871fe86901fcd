"""The joint work of the processes of a run: joining, agreeing, averaging gradients, and ending.

Each process makes the passes of a step on its own; nothing is sent before the last of them is
done. `DistributedDataParallel` sends gradients while the last pass is still under way, and a
process that runs out of memory there could not take back the gradients it has sent: the others
would add them up, or wait for the rest forever.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

import torch
from accelerate import PartialState
from torch import Tensor, distributed, nn

from warmstart.errors import TrainingError, WarmstartError
from warmstart.model.device import choose_device

__all__ = [
    "Processes",
    "all_gather",
    "all_reduce_max",
    "average_gradients",
    "broadcast",
    "fail_together",
    "join_processes",
    "lost_peer_as_error",
    "wait_for_all",
]

T = TypeVar("T")
_BUCKET: Final = 2**23  # elements that are sent together: enough to fill a network, and no more
_PATIENCE: Final = timedelta(minutes=30)  # for processes that evaluate or save


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """This process among those of its run.

    Attributes:
        device: where this process computes.
        count: number of processes.
        index: of this process, from 0.
    """

    device: torch.device
    count: int = 1
    index: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes and logs for all of them."""
        return self.index == 0


def join_processes(device: str | None = None) -> Processes:
    """Connects the processes that torchrun or `accelerate launch` has started, if it has.

    Args:
        device: to compute on; None: a CUDA GPU, or without one the CPU.

    Raises:
        UsageError: if there is no such device here.
    """
    on_gpu = choose_device(device).type != "cpu"
    state = PartialState(timeout=_PATIENCE) if on_gpu else PartialState(cpu=True)
    return Processes(device=state.device, count=state.num_processes, index=state.process_index)


def wait_for_all() -> None:
    """Waits until all processes are here."""
    PartialState().wait_for_everyone()


@contextmanager
def fail_together() -> Iterator[None]:
    """A block that ends in an error in all processes if it does so in one of them.

    Otherwise that one would be gone while the others wait for it. All enter the block, and nothing
    is sent within.

    Raises:
        TrainingError: with the message of another process, if this one had no error of its own.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    messages = all_gather(None if failure is None else _message(failure))
    if failure is not None:
        if isinstance(failure, WarmstartError) and len(messages) > 1:
            failure.on_all_ranks = True
        raise failure
    for message in messages:
        if message is not None:
            raise _of_all(message)


@contextmanager
def lost_peer_as_error() -> Iterator[None]:
    """Turns the error of a lost connection to another process into a sentence.

    Raises:
        TrainingError: if another process is gone.
    """
    try:
        yield
    except RuntimeError as error:
        gloo = "third_party/gloo" in str(error)
        if not (gloo or isinstance(error, distributed.DistBackendError)):
            raise
        reason = str(error).partition("\n")[0]
        if gloo:
            reason = reason.partition("] ")[2].partition(". ")[0]
        raise _of_all(
            f"Another process of this run has ended or cannot be reached ({reason}), and this one "
            "with it. If that one does not say why, it was killed; start all of them again with "
            "--auto-resume."
        ) from None


def _several() -> bool:
    return distributed.is_initialized() and distributed.get_world_size() > 1


def all_gather(own: T) -> list[T]:
    """The object of each process, in their order; all of them call it."""
    if not _several():
        return [own]
    objects = [own] * distributed.get_world_size()
    distributed.all_gather_object(objects, own)
    return objects


def _message(error: Exception) -> str:
    if isinstance(error, WarmstartError):
        return str(error)
    return f"Another process of this run has failed with {type(error).__name__}; see its output."


def _of_all(message: str) -> TrainingError:
    error = TrainingError(message)
    error.on_all_ranks = True
    return error


def all_reduce_max(values: Sequence[int], device: torch.device) -> list[int]:
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
    0 in the others. One without a gradient anywhere gets none, so that the optimizer leaves it
    alone.
    """
    if not parameters:
        return
    device = parameters[0].device
    used = all_reduce_max([parameter.grad is not None for parameter in parameters], device)
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
    """Neighbours of one dtype, together not much larger than a bucket."""
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
