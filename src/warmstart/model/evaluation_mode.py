"""Evaluation mode for some time, whatever the number of threads that ask for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakKeyDictionary

from torch import nn

__all__ = ["evaluation_mode"]

_lock: Final = threading.Lock()
# Of each model in use: the mode to put back, and how many ask for evaluation mode.
_in_use: Final[WeakKeyDictionary[nn.Module, tuple[bool, int]]] = WeakKeyDictionary()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switches dropout off; the last of the threads that asked puts the model's mode back."""
    with _lock:
        was_training, count = _in_use.get(model, (model.training, 0))
        if count == 0:
            model.eval()
        _in_use[model] = was_training, count + 1
    try:
        yield
    finally:
        with _lock:
            was_training, count = _in_use[model]
            if count > 1:
                _in_use[model] = was_training, count - 1
            else:
                del _in_use[model]
                model.train(was_training)
