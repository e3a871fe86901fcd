"""The optimizer of a run, its learning rate over the steps, and the clipping of gradients."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler
from transformers.optimization import Adafactor

from warmstart.training.parameters import Group
from warmstart.training.train_config import PAPER_WARMUP_STEPS, Schedule, TrainConfig

__all__ = [
    "clip_gradients",
    "create_optimizer",
    "create_scheduler",
    "load_scheduler",
    "save_scheduler",
    "warmup_steps",
]

_SCHEDULER: Final = "scheduler.pt"
_SCHEDULES: Mapping[Schedule, str] = {
    "linear": "linear",
    "cosine": "cosine",
    "inverse_sqrt": "inverse_sqrt",
    "constant": "constant_with_warmup",
    "paper": "inverse_sqrt",
}


def create_optimizer(groups: Iterable[Group], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer that the settings name, over groups with a peak rate each."""
    members = [
        {
            "params": list(group.parameters),
            "lr": group.learning_rate,
            "weight_decay": group.weight_decay,
        }
        for group in groups
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(members, fused=True)
    # The rate is the schedule's, not one of Adafactor's own.
    return Adafactor(members, scale_parameter=False, relative_step=False)


def create_scheduler(optimizer: torch.optim.Optimizer, config: TrainConfig) -> LRScheduler:
    """The learning rate of each group over the steps of a run."""
    scheduler: LRScheduler = get_scheduler(
        _SCHEDULES[config.schedule],
        optimizer=optimizer,
        num_warmup_steps=warmup_steps(config),
        num_training_steps=config.max_steps,
    )
    return scheduler


def warmup_steps(config: TrainConfig) -> int:
    """Steps until the learning rate is at its peak."""
    if config.schedule == "paper":
        return PAPER_WARMUP_STEPS
    return min(config.warmup_steps, config.max_steps)


def save_scheduler(scheduler: LRScheduler, folder: Path) -> None:
    """Writes the schedule's position to a checkpoint."""
    torch.save(scheduler.state_dict(), folder / _SCHEDULER)


def load_scheduler(scheduler: LRScheduler, checkpoint: Path) -> None:
    """Sets the schedule to its position at a checkpoint."""
    scheduler.load_state_dict(torch.load(checkpoint / _SCHEDULER, weights_only=True))


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
    """Scales gradients down to a norm.

    Args:
        parameters: whole, or sharded over all processes.
        limit: the greatest norm allowed; 0: any.

    Returns:
        The norm before, of all shards together. Shape: []
    """
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    norm = get_total_norm([p.grad for p in with_gradient if p.grad is not None])
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    if limit:
        clip_grads_with_norm_(with_gradient, limit, norm)
    return norm
