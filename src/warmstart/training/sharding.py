"""Fully sharded data parallelism (FSDP2): each process holds a shard of the model being trained.

Blocks are gathered before use and freed after it; embeddings, head and bridge are gathered for a
whole pass. Decoding and saving use the whole model, which every process keeps in CPU memory.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from warmstart.model.encoder_decoder import EncoderDecoder

__all__ = ["ShardedCopy", "load_optimizer", "save_optimizer", "save_optimizer_shard", "units"]

WHOLE: Final = "optimizer.pt"
_PART: Final = "optimizer-{:05}-of-{:05}.pt"


class ShardedCopy:
    """A copy of a model, sharded over all processes.

    Args:
        whole: the model, the same in all processes.
        device: of this process.

    Attributes:
        model: the copy, to be trained.
    """

    def __init__(self, whole: EncoderDecoder, device: torch.device) -> None:
        self.whole = whole
        self.device = device
        self.model = copy.deepcopy(whole)
        for parameter in self.model.parameters():  # all processes start with the first one's
            distributed.broadcast(parameter.data.to(device), src=0)
        mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
        for unit in units(self.model):
            fully_shard(unit, mesh=mesh)
        fully_shard(self.model, mesh=mesh)
        register_fsdp_forward_method(self.model, "states")  # called besides `forward`

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Within the block the whole model has the copy's weights and is on the device.

        All processes enter it together.
        """
        self.gather()
        self.whole.to(self.device)
        try:
            yield
        finally:
            self.whole.to("cpu")

    def gather(self) -> None:
        """Writes the copy's weights to the whole model. All processes call it."""
        with torch.no_grad():
            for whole, part in self._pairs():
                whole.copy_(part.full_tensor())

    def scatter(self) -> None:
        """Writes the whole model's weights, the same in all processes, to the copy."""
        with torch.no_grad():
            for whole, part in self._pairs():
                part.copy_(_like(whole.detach().to(self.device), part))

    def _pairs(self) -> Iterator[tuple[nn.Parameter, DTensor]]:
        parts = self.model.parameters()
        for whole, part in zip(self.whole.parameters(), parts, strict=True):
            assert isinstance(part, DTensor)
            yield whole, part


def units(model: EncoderDecoder) -> list[nn.Module]:
    """The modules that are gathered and freed as a unit: blocks, or the parts of a shared block.

    A parameter may belong to only one unit. Parameters that are shared with a module outside of
    their unit, such as projections of cross-attention shared with an encoder, stay with the whole
    model.
    """
    stacks = [stack for stack in (model.encoder, model.decoder) if stack is not None]
    blocks = [block for stack in stacks for block in stack.blocks]
    used = Counter(id(module) for block in blocks for module in block.modules())
    owners: dict[int, set[int]] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), set()).add(id(module))
    candidates = {
        id(unit): unit
        for block in blocks
        for unit in (block.children() if _overlaps(block, used) else [block])
    }
    used = Counter(id(module) for unit in candidates.values() for module in unit.modules())
    chosen = []
    for unit in candidates.values():
        inside = {id(module) for module in unit.modules()}
        alone = all(owners[id(parameter)] <= inside for parameter in unit.parameters())
        if alone and not _overlaps(unit, used):
            chosen.append(unit)
    return chosen


def _overlaps(unit: nn.Module, used: Counter[int]) -> bool:
    return any(used[id(module)] > 1 for module in unit.modules())


def _like(whole: Tensor, part: DTensor) -> DTensor:
    """This process's shard of a tensor that is the same in all processes; nothing is sent."""
    return distribute_tensor(whole, part.device_mesh, part.placements, src_data_rank=None)


def save_optimizer(optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Writes the state of an optimizer over whole parameters."""
    torch.save(optimizer.state_dict(), folder / WHOLE)


def save_optimizer_shard(optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Writes this process's shard of the state to a file of its own."""
    state = optimizer.state_dict()
    own = {
        index: {key: _own(value) for key, value in values.items()}
        for index, values in state["state"].items()
    }
    name = _PART.format(distributed.get_rank() + 1, distributed.get_world_size())
    torch.save({**state, "state": own}, folder / name)


def _own(value: Any) -> Any:
    # A copy: the file would otherwise hold the whole storage of the slice.
    return value.to_local().clone() if isinstance(value, DTensor) else value


def load_optimizer(optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Reads the state, whole or in shards of any number of processes, and shards it as needed."""
    if (folder / WHOLE).is_file():
        parts = [_read(folder / WHOLE)]
    else:
        parts = [_read(path) for path in sorted(folder.glob("optimizer-*-of-*.pt"))]
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    state = {
        index: {key: _joined(parts, index, key, parameters[index]) for key in values}
        for index, values in parts[0]["state"].items()
    }
    optimizer.load_state_dict({**parts[0], "state": state})


def _read(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return state


def _joined(parts: list[dict[str, Any]], index: int, key: str, parameter: nn.Parameter) -> Any:
    values = [part["state"][index][key] for part in parts]
    if not isinstance(values[0], Tensor) or not values[0].dim():
        return values[0]
    whole = torch.cat(values) if len(values) > 1 else values[0]
    if not isinstance(parameter, DTensor) or whole.shape != parameter.shape:
        return whole
    return _like(whole.to(parameter.device), parameter).clone()
