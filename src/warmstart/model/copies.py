"""Copies of modules that share what they hold."""

import copy
from typing import TypeVar

from torch import nn

__all__ = ["shallow"]

_Module = TypeVar("_Module", bound=nn.Module)


def shallow(module: _Module) -> _Module:
    """A copy that holds the same tensors and modules, until it is given others."""
    made = copy.copy(module)
    for name in ("_modules", "_parameters", "_buffers"):
        made.__dict__[name] = dict(made.__dict__[name])
    return made
