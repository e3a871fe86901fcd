"""Models converted for decoding: prepared, moved to a device and type, quantized.

On a CPU most of the time goes into products of a few rows. Linear layers are replaced by ones that
store their weights in the kernels' own layout, up to twice as fast as converting them each time.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import get_args
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from warmstart.errors import UsageError, did_you_mean
from warmstart.inference.compiled_steps import CompiledSteps
from warmstart.inference.float8 import OLDEST_FLOAT8_GPU, Float8Linear
from warmstart.inference.kernels import (
    Float16Linear,
    Float16Words,
    Float32Linear,
    Int8Linear,
    Int8Words,
)
from warmstart.inference.recorded_steps import RecordedSteps
from warmstart.model.attention import CrossAttention
from warmstart.model.copies import Value, materialize, replace_modules, shallow_copy
from warmstart.model.embedding import Embedding
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.head import Head
from warmstart.model.loading_types import Compile, Dtype

__all__ = [
    "convert",
    "is_quantized",
    "prepare_for_decoding",
    "quantize",
    "require_full_precision",
    "rounds_inputs",
    "with_float8",
]

DTYPES: tuple[str, ...] = get_args(Dtype)
_TYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_Linear = Callable[[Tensor, Tensor | None], nn.Module]
_Words = Callable[[Tensor], nn.Module]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A model ready for decoding, and the state of the weights that it was made from."""

    model: EncoderDecoder
    weights: tuple[tuple[int, int], ...]


_prepared: WeakKeyDictionary[EncoderDecoder, _Prepared] = WeakKeyDictionary()  # by original
_preparing = threading.Lock()  # one thread prepares a model, the others wait for the result


def prepare_for_decoding(model: EncoderDecoder) -> EncoderDecoder:
    """The model with its decoder's weights in the layout of the kernels, and its compiled steps.

    The result shares everything with the model but the linear layers of decoder and head. In
    evaluation mode it is kept until a weight changes; in training mode it is not, so that no copy
    takes memory between two evaluations.

    Args:
        model: in float32 on a CPU, or on a GPU with steps to be recorded; any other model, and a
            quantized one, is returned unchanged.
    """
    weights = list(model.parameters())
    devices = {weight.device.type for weight in weights}
    on_cpu = devices == {"cpu"} and all(weight.dtype == torch.float32 for weight in weights)
    recorded = devices == {"cuda"} and model.compile_steps != "no"
    packed = on_cpu and not is_quantized(model) and torch.backends.mkldnn.is_available()
    if not (recorded or packed):
        return model
    state = _state_of(weights)
    with _preparing:
        known = _prepared.get(model)
        if known is not None and known.weights == state:
            return known.model
        _prepared.pop(model, None)  # before the new one is made, so that memory never holds three
        made = _prepare(model, recorded=recorded)
        if not model.training:
            _prepared[model] = _Prepared(made, state)
    return made


def _prepare(model: EncoderDecoder, *, recorded: bool) -> EncoderDecoder:
    made = shallow_copy(model)
    if recorded:
        made.compiled_step = RecordedSteps(model).step
    else:
        for name in ("decoder", "head"):
            part = _Replacement(Float32Linear).of(getattr(model, name))
            setattr(made, name, part.eval())
        assert isinstance(made, EncoderDecoder)
        if model.compile_steps != "no":
            made.compiled_step = CompiledSteps(model, wait=model.compile_steps == "wait").step
    return made


def convert(
    model: EncoderDecoder,
    device: str | torch.device,
    dtype: str | torch.dtype,
    compile_steps: Compile = "no",
    *,
    value: Value | None = None,
) -> EncoderDecoder:
    """The model on a device, with weights of a type.

    Args:
        model: in float32; not to be used afterwards.
        device: the target.
        dtype: one of `DTYPES`, or a torch type of 16 to 64 bits. "float16" and "int8" on a CPU,
            see `quantize`, and "float8" on a GPU, see `float8.py`, are for decoding only.
        compile_steps: whether decoding compiles its steps, see `compiled_steps.py`.
        value: the value of a parameter, for a model on the meta device. It is read when needed,
            so that a quantized model never holds all of them in float32, and copied.

    Raises:
        UsageError: if the type does not exist or the machine has no kernels for it, or if steps
            cannot be compiled for it.
    """
    device = torch.device(device)
    if compile_steps not in get_args(Compile):
        choices = get_args(Compile)
        raise UsageError(
            f"There is no compile '{compile_steps}'; {did_you_mean(str(compile_steps), choices)}"
        )
    if isinstance(dtype, str) and dtype not in DTYPES:
        raise UsageError(f"There is no dtype '{dtype}'; {did_you_mean(dtype, DTYPES)}")
    if not isinstance(dtype, str) and dtype not in _TYPES:
        raise UsageError(f"There is no dtype {dtype!r}; Allowed: {', '.join(map(str, _TYPES))}.")
    compiled_for = ("float32", "float16", "int8", torch.float32)
    compilable = device.type == "cuda" or (device.type == "cpu" and dtype in compiled_for)
    if compile_steps != "no" and not compilable:
        raise UsageError(
            f"compile is '{compile_steps}', but steps are compiled on a GPU, or on a CPU in "
            f"float32, float16 or int8, and this model is loaded in "
            f"{str(dtype).removeprefix('torch.')} on {device}; omit one of the two."
        )
    model.compile_steps = compile_steps
    if isinstance(dtype, str):
        if dtype == "int8" and device.type != "cpu":
            raise UsageError(
                f"dtype 'int8' is for CPUs, but the device is {device}; use 'bfloat16' there."
            )
        if device.type == "cpu" and dtype in ("float16", "int8"):
            return quantize(model, dtype, value)
        if dtype == "float8":
            _check_float8(device)
    types = {"bfloat16": torch.bfloat16, "float8": torch.bfloat16, "float16": torch.float16}
    of_torch = types.get(dtype, torch.float32) if isinstance(dtype, str) else dtype
    if value is not None:
        materialize(model, lambda parameter: value(parameter).to(device, of_torch, copy=True))
    made = model.to(device, of_torch).eval()
    return with_float8(made) if dtype == "float8" else made


def with_float8(model: EncoderDecoder) -> EncoderDecoder:
    """A model for decoding only, with the linear layers of `float8.py`.

    Args:
        model: in bfloat16 or more.
    """
    made = _Replacement(Float8Linear).of(model)
    assert isinstance(made, EncoderDecoder)
    return made.eval()


def _check_float8(device: torch.device) -> None:
    """Rejects devices without 8-bit floating-point products."""
    if device.type != "cuda":
        raise UsageError(
            f"dtype 'float8' is for GPUs, but the device is {device}; use 'int8' on a CPU."
        )
    if torch.cuda.get_device_capability(device) < OLDEST_FLOAT8_GPU:
        oldest = ".".join(map(str, OLDEST_FLOAT8_GPU))
        raise UsageError(
            f"dtype 'float8' needs a GPU of compute capability {oldest} or higher (Hopper); use "
            "'bfloat16' on this one."
        )


def quantize(model: EncoderDecoder, kind: str, value: Value | None = None) -> EncoderDecoder:
    """A model for decoding only, with its matrices in fewer bits.

    Args:
        model: in float32 on a CPU.
        kind: "float16" or "int8"; see `kernels.py`.
        value: see `convert`.

    Raises:
        UsageError: if the machine has no kernels for it.
    """
    if not {"x86", "fbgemm"} & set(torch.backends.quantized.supported_engines):
        raise UsageError(
            f"dtype '{kind}' needs an x86 processor's kernels, which this torch lacks; use "
            "'float32' or 'bfloat16'."
        )
    linear, words = (Int8Linear, Int8Words) if kind == "int8" else (Float16Linear, Float16Words)
    made = _Replacement(linear, words, value or _own).of(model)
    assert isinstance(made, EncoderDecoder)
    made.eval()
    if made.compile_steps != "no":
        wait = made.compile_steps == "wait"
        made.compiled_step = CompiledSteps(made, wait=wait, few_rows=True).step
    return made


def is_quantized(model: EncoderDecoder) -> bool:
    """Whether the weights were rounded, so that the model can be neither trained nor saved."""
    layers = (Int8Linear, Float16Linear, Float8Linear)
    return any(isinstance(module, layers) for module in model.decoder.modules())


def rounds_inputs(model: EncoderDecoder) -> bool:
    """Whether a row's output depends on the batch's other rows, beyond the order of sums."""
    return isinstance(model.decoder.embedding.word, Int8Words)


def require_full_precision(model: EncoderDecoder, purpose: str) -> None:
    """Rejects quantized models.

    Args:
        model: any.
        purpose: completes "cannot be ...", for example "trained".

    Raises:
        UsageError: if the model is quantized.
    """
    if is_quantized(model):
        raise UsageError(
            f"A model loaded with dtype 'int8', 'float16' or 'float8' cannot be {purpose}, because "
            "its weights were rounded for decoding; load it with dtype 'float32'."
        )


def _own(parameter: Tensor) -> Tensor:
    return parameter


@dataclass(frozen=True, slots=True)
class _Replacement:
    """Other linear layers and word vectors for a tree of modules.

    Attributes:
        linear: makes a layer from weight and bias.
        words: makes word vectors from their matrix; None: they are kept, and so are the head's
            own parameters.
        value: see `convert`.
    """

    linear: _Linear
    words: _Words | None = None
    value: Value = _own

    def of(self, module: nn.Module) -> nn.Module:
        """A copy of the tree with its layers replaced."""
        tables = {id(part.word) for part in module.modules() if isinstance(part, Embedding)}
        made: dict[int, nn.Module] = {}  # by the matrix's id: two embeddings may share it

        def replacement(module: nn.Module) -> nn.Module | None:
            if isinstance(module, nn.Linear):
                return self._layer(module)
            if self.words is not None and id(module) in tables:
                assert isinstance(module, nn.Embedding)
                if id(module.weight) not in made:
                    made[id(module.weight)] = self.words(self.value(module.weight))
                return made[id(module.weight)]
            # An adapter around a layer reads its weight.
            return module if hasattr(module, "base_layer") else None

        return replace_modules(module, replacement, self._finish)

    def _layer(self, module: nn.Linear | Head, rows: slice = slice(None)) -> nn.Module:
        """A layer with some rows of another's weight and bias."""
        bias: Tensor | None = module.bias  # torch's types do not say that it may be missing
        # Layers pack weights of their own, but keep the bias that they get.
        own = None if bias is None else self.value(bias)[rows].clone()
        # A file may hold them transposed.
        return self.linear(self.value(module.weight)[rows].contiguous(), own)

    def _finish(self, module: nn.Module, made: nn.Module) -> None:
        """Replaces parameters and fused layers in a copy with its children replaced."""
        match module, made:
            case CrossAttention(qkv=nn.Linear() as qkv), CrossAttention():
                # Of shared projections a step needs the queries alone.
                queries = module.config.heads * module.config.head_size
                made.add_module("query", self._layer(qkv, slice(queries)))
                made.add_module("key_value", self._layer(qkv, slice(queries, None)))
                made.qkv = None
            case Head(), Head():
                made.product = self._layer(module)
                if self.words is not None:
                    made._parameters.clear()
        if self.value is not _own:
            for name, parameter in made.named_parameters(recurse=False):
                own = self.value(parameter).to(parameter.dtype, copy=True)
                made.register_parameter(name, nn.Parameter(own, requires_grad=False))


def _state_of(weights: Iterable[Tensor]) -> tuple[tuple[int, int], ...]:
    """Address and number of changes in place of each: differs as soon as any was changed."""
    # Tensors made in inference mode have no count.
    return tuple(
        (weight.data_ptr(), 0 if weight.is_inference() else weight._version) for weight in weights
    )
