"""Activation checkpointing: layers computed again in the backward pass."""

from torch import nn

from warmstart.model.stack import Stack

__all__ = ["set_recomputing"]


def set_recomputing(model: nn.Module, recomputes: bool) -> None:
    """Switches activation checkpointing on or off."""
    for module in model.modules():
        if isinstance(module, Stack):
            module.recomputes = recomputes
