"""An estimate of the memory of a run, from a pass over tensors without values."""

import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.head import CHUNK_TOKENS
from warmstart.model.sequences import Sequences

__all__ = ["Memory", "estimate_memory", "optimizer_values"]

_FLOAT32 = 4  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """An estimate, in bytes.

    Attributes:
        weights: in float32, shared ones once.
        gradients: of the trained parameters.
        optimizer: state of the optimizer.
        activations: of the longest batch, between its forward and its backward pass.
        logits: of one chunk of target tokens.
        one_pass: peak of a pass over the longest batch, with gradients.
        teacher: weights of the teacher, in float32.
        process: memory of this process without a model: libraries and data. 0: on a GPU.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    one_pass: int
    teacher: int
    process: int

    @property
    def total(self) -> int:
        """The peak."""
        step = max(self.one_pass, self.gradients)
        return self.weights + self.optimizer + step + self.teacher + self.process


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of all live tensors that were made within."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self.counted: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_iter(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.counted:
            return
        self.counted.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self.counted.discard(key)
        self.live -= size


def estimate_memory(
    model: EncoderDecoder,
    lengths: tuple[Sequence[int], Sequence[int]],
    *,
    trained: Sequence[nn.Parameter],
    teacher: nn.Module | None,
    optimizer: str,
    bfloat16: bool,
    accumulates: bool,
    on_gpu: bool,
) -> Memory:
    """Runs a batch through a model forward and backward, with tensors without values.

    Args:
        model: on the meta device, or with weights; unchanged afterwards.
        lengths: in tokens, of the sources and of the targets of the longest batch.
        trained: parameters that have gradients.
        teacher: the teacher's module.
        optimizer: see `TrainConfig`.
        bfloat16: whether products are in bfloat16.
        accumulates: whether the gradients of a pass are added to those of earlier passes.
        on_gpu: whether the model is on a GPU, without libraries and data.
    """
    trained_values = sum(parameter.numel() for parameter in trained)
    sources, targets = lengths
    initial = {parameter: parameter.requires_grad for parameter in model.parameters()}
    ever = {id(parameter) for parameter in trained}
    was_training = model.training
    counter = _LiveBytes()
    try:
        for parameter in initial:
            parameter.requires_grad_(id(parameter) in ever)
        with FakeTensorMode(allow_non_fake_inputs=True), _without_values(model):
            model.train()
            source = Sequences(torch.zeros(sum(sources), dtype=torch.long), tuple(sources))
            target = Sequences(torch.zeros(sum(targets), dtype=torch.long), tuple(targets))
            labels = torch.zeros(sum(targets), dtype=torch.long)
            with counter, torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss: Tensor = model(source, target, labels, float(sum(targets)))
                activations = counter.live
                loss.backward()
    finally:
        model.train(was_training)
        for parameter, requires_grad in initial.items():
            parameter.requires_grad_(requires_grad)
    gradients = trained_values * _FLOAT32
    rows = min(CHUNK_TOKENS, sum(targets))
    width = _FLOAT32  # probabilities; logits need memory of their own if they differ in dtype
    if bfloat16 or model.config.head.soft_cap is not None:
        width += 2 if bfloat16 else _FLOAT32
    return Memory(
        weights=sum(parameter.numel() for parameter in initial) * _FLOAT32,
        gradients=gradients,
        optimizer=optimizer_values(trained, optimizer) * _FLOAT32,
        activations=activations,
        logits=rows * model.config.decoder.embedding.vocabulary * width,
        one_pass=counter.peak + (gradients if accumulates else 0),
        teacher=0 if teacher is None else sum(p.numel() for p in teacher.parameters()) * _FLOAT32,
        process=0 if on_gpu else _process_bytes(),
    )


def optimizer_values(trained: Sequence[nn.Parameter], optimizer: str) -> int:
    """Values of an optimizer's state: two per parameter, or one per row and column."""
    if optimizer == "adamw":
        return 2 * sum(parameter.numel() for parameter in trained)
    return sum(
        parameter.numel() // parameter.shape[-1] + parameter.numel() // parameter.shape[-2]
        if parameter.dim() > 1
        else parameter.numel()
        for parameter in trained
    )


@contextmanager
def _without_values(model: nn.Module) -> Iterator[None]:
    """Within a `FakeTensorMode`: the model has fake tensors on the CPU."""
    kept: list[tuple[dict[str, Any], str, Any]] = []
    fakes: dict[int, Any] = {}
    for module in model.modules():
        for holder in (module._parameters, module._buffers):
            for name, tensor in list(holder.items()):
                if tensor is None:
                    continue
                if id(tensor) not in fakes:
                    fake: Tensor = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
                    if isinstance(tensor, nn.Parameter):
                        fake = nn.Parameter(fake, requires_grad=tensor.requires_grad)
                    fakes[id(tensor)] = fake
                kept.append((holder, name, tensor))
                holder[name] = fakes[id(tensor)]
    try:
        yield
    finally:
        for holder, name, tensor in kept:
            holder[name] = tensor


def _process_bytes() -> int:
    """The peak memory of this process so far; 0 on systems without this figure."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
