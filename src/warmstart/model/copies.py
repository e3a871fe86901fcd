"""Copies of modules that share parameters, and new values for existing modules."""

import copy
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from torch import Tensor, nn

__all__ = ["Value", "materialize", "replace_modules", "shallow_copy"]

# The value of a parameter, which may be on the meta device until it is read.
Value: TypeAlias = Callable[[Tensor], Tensor]

_Module = TypeVar("_Module", bound=nn.Module)


def materialize(model: nn.Module, value: Value) -> None:
    """Replaces the value of each parameter of a model; shared ones stay shared."""
    filled: dict[int, nn.Parameter] = {}  # by the parameter's id
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if id(parameter) not in filled:
                filled[id(parameter)] = nn.Parameter(value(parameter), parameter.requires_grad)
            setattr(module, name, filled[id(parameter)])


def shallow_copy(module: _Module) -> _Module:
    """A copy with the same tensors and modules, which can be replaced one by one."""
    made = copy.copy(module)
    for name in ("_modules", "_parameters", "_buffers"):
        made.__dict__[name] = dict(made.__dict__[name])
    return made


def replace_modules(
    module: nn.Module,
    other: Callable[[nn.Module], nn.Module | None],
    finish: Callable[[nn.Module, nn.Module], None] | None = None,
) -> nn.Module:
    """A copy of a tree with some modules replaced. Shared modules stay shared.

    Args:
        module: the tree.
        other: the replacement of a module; None: a copy of it.
        finish: changes a copy, given the original and the copy with its children replaced.
    """
    seen: dict[int, nn.Module] = {}  # by the original's id

    def copied(module: nn.Module) -> nn.Module:
        if id(module) not in seen:
            made = other(module)
            if made is None:
                made = shallow_copy(module)
                for name, child in module.named_children():
                    setattr(made, name, copied(child))
                if finish is not None:
                    finish(module, made)
            seen[id(module)] = made
        return seen[id(module)]

    return copied(module)
