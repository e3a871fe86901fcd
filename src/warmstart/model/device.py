"""The device that a model computes on."""

import logging
from functools import cache

import torch

from warmstart.errors import UsageError

__all__ = ["choose_device", "default_device"]

logger = logging.getLogger(__name__)


def choose_device(name: str | torch.device | None) -> torch.device:
    """A device of this machine.

    Args:
        name: "cpu", "cuda", "cuda:1", "mps" or another device of torch; None: `default_device`.

    Raises:
        UsageError: if there is no such device here.
    """
    if name is None:
        return torch.device(default_device())
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    # What torch raises for a device that it does not have, or was built without, has no type.
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = " ".join(str(error).split("\n")[0].split())
        raise UsageError(
            f"device is {str(name)!r}, which is not on this machine ({reason:.120}); give one of "
            f"{', '.join(_devices())}."
        ) from None
    return device


def default_device() -> str:
    """A CUDA GPU, or without one the CPU.

    An Apple GPU is not chosen by itself: no test has run on one.
    """
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        _report_mps()
    return "cpu"


def _devices() -> list[str]:
    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


@cache  # once a process
def _report_mps() -> None:
    logger.warning(
        "This machine has an Apple GPU (mps), which is not used by default, since no test has run "
        "on one; to use it, give --device mps (Python: device='mps')."
    )
