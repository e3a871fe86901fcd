"""A model laid out for decoding.

On a CPU most of the time goes into a few rows' products. The modules stay what they are; their
linear layers are replaced by ones that hold their weights as the kernels want them, which is up to
twice as fast as a product that has to bring them there each time.
"""

import threading
from collections.abc import Callable
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
from warmstart.model.encoder_decoder import Compile, EncoderDecoder
from warmstart.model.head import Head

__all__ = [
    "DTYPES",
    "convert",
    "is_quantized",
    "prepare_for_decoding",
    "quantize",
    "require_full_precision",
    "rounds_inputs",
    "with_float8",
]

DTYPES = ("float32", "bfloat16", "float16", "int8", "float8")
_TYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_Linear = Callable[[Tensor, Tensor | None], nn.Module]
_Words = Callable[[Tensor], nn.Module]
# By model: what its weights were when they were laid out, and the result.
_known: WeakKeyDictionary[EncoderDecoder, tuple[tuple[tuple[int, int], ...], EncoderDecoder]]
_known = WeakKeyDictionary()
_laying_out = threading.Lock()  # one thread lays a model out, and the others wait for the result


def prepare_for_decoding(model: EncoderDecoder) -> EncoderDecoder:
    """The same model with its decoder's weights as decoding wants them, and its steps.

    It shares the encoder with the model, and all but the linear layers of decoder and head. Where
    the model is in evaluation mode the result is kept until its weights change; in training mode it
    is not, so that nobody pays for it between two evaluations.

    Args:
        model: in float32 on a CPU, or on a GPU with steps that are to be recorded; any other is
            given back as it is, and so is a reduced one.
    """
    weights = list(model.parameters())
    devices = {weight.device.type for weight in weights}
    on_cpu = devices == {"cpu"} and all(weight.dtype == torch.float32 for weight in weights)
    recorded = devices == {"cuda"} and model.compile_steps != "no"
    laid = on_cpu and not is_quantized(model) and torch.backends.mkldnn.is_available()
    if not (recorded or laid):
        return model
    state = tuple((weight.data_ptr(), _version(weight)) for weight in weights)
    with _laying_out:
        kept = _known.get(model)
        if kept is not None and kept[0] == state:
            return kept[1]
        _known.pop(model, None)  # before the new one is made, so that there are never three
        made = _lay_out(model, recorded=recorded)
        if not model.training:
            _known[model] = state, made
    return made


def _lay_out(model: EncoderDecoder, *, recorded: bool) -> EncoderDecoder:
    made = shallow_copy(model)
    if recorded:
        made.compiled_step = RecordedSteps(model).step
    else:
        for name in ("decoder", "head"):
            part = _replaced(getattr(model, name), Float32Linear, None)
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
        model: in float32; not to be used any more.
        device: where to.
        dtype: one of `DTYPES`, or a type of torch of 16 to 64 bits. On a CPU "float16" and "int8"
            are for decoding alone, see `quantize`, and on a GPU "float8", see `float8.py`.
        compile_steps: whether decoding compiles its steps, see `compiled_steps.py`.
        value: what the parameters hold, where the model is on the meta device. Each is asked for
            when it is needed, so that a model of fewer bits never has all of them in float32; it
            is copied, not kept.

    Raises:
        UsageError: if there is no such type, or the machine has no kernels for it; or if steps of
            such a model are not compiled.
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
            f"float32, float16 or int8, and this model is to be in "
            f"{str(dtype).removeprefix('torch.')} on {device}; leave one of the two out."
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
    """A model for decoding alone, whose linear layers are those of `float8.py`.

    Args:
        model: in bfloat16 or more.
    """
    made = _replaced(model, Float8Linear, None)
    assert isinstance(made, EncoderDecoder)
    return made.eval()


def _check_float8(device: torch.device) -> None:
    """Refuses devices that have no products of such numbers."""
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
    """A model for decoding alone, whose matrices are held in fewer bits.

    Args:
        model: in float32 on a CPU.
        kind: "float16" or "int8"; see `kernels.py`.
        value: see `convert`.

    Raises:
        UsageError: if the machine has no such kernels.
    """
    if not {"x86", "fbgemm"} & set(torch.backends.quantized.supported_engines):
        raise UsageError(
            f"dtype '{kind}' needs an x86 processor's kernels, which this torch lacks; use "
            "'float32' or 'bfloat16'."
        )
    linear, words = (Int8Linear, Int8Words) if kind == "int8" else (Float16Linear, Float16Words)
    made = _replaced(model, linear, words, value)
    assert isinstance(made, EncoderDecoder)
    made.eval()
    if made.compile_steps != "no":
        wait = made.compile_steps == "wait"
        made.compiled_step = CompiledSteps(made, wait=wait, few_rows=True).step
    return made


def is_quantized(model: EncoderDecoder) -> bool:
    """Whether its weights were rounded, so that it can neither be trained nor saved."""
    layers = (Int8Linear, Float16Linear, Float8Linear)
    return any(isinstance(module, layers) for module in model.decoder.modules())


def rounds_inputs(model: EncoderDecoder) -> bool:
    """Whether what a row gives depends on the rows beside it, by more than the order of sums."""
    return isinstance(model.decoder.embedding.word, Int8Words)


def require_full_precision(model: EncoderDecoder, purpose: str) -> None:
    """Says what a reduced model is not for.

    Args:
        model: any.
        purpose: what is to be done with it, as in "cannot be trained".

    Raises:
        UsageError: if the model is a reduced one.
    """
    if is_quantized(model):
        raise UsageError(
            f"A model loaded with dtype 'int8', 'float16' or 'float8' cannot be {purpose}, for its "
            "weights were rounded for decoding; load it with dtype 'float32'."
        )


def _replaced(
    module: nn.Module, linear: _Linear, words: _Words | None, value: Value | None = None
) -> nn.Module:
    """A copy of the tree with other linear layers and word vectors.

    Args:
        module: the tree.
        linear: makes a layer of weight and bias.
        words: makes word vectors of their matrix; None: they are kept, and so is what the head
            holds beside its layer.
        value: see `convert`.
    """
    tables = {id(part.word) for part in module.modules() if isinstance(part, Embedding)}
    made_words: dict[int, nn.Module] = {}  # by the matrix's id: two embeddings may share it

    def held(parameter: Tensor) -> Tensor:
        return parameter if value is None else value(parameter)

    def layer(module: nn.Linear | Head, rows: slice = slice(None)) -> nn.Module:
        bias: Tensor | None = module.bias  # torch's types forget that it may be missing
        # Layers lay out weights of their own, but keep the bias that they get.
        own = None if bias is None else held(bias)[rows].clone()
        # A file may hold them transposed.
        return linear(held(module.weight)[rows].contiguous(), own)

    def other(module: nn.Module) -> nn.Module | None:
        if isinstance(module, nn.Linear):
            return layer(module)
        if isinstance(module, nn.Embedding) and id(module) in tables and words is not None:
            if id(module.weight) not in made_words:
                made_words[id(module.weight)] = words(held(module.weight))
            return made_words[id(module.weight)]
        # An adapter around a layer looks at its weight.
        return module if hasattr(module, "base_layer") else None

    def finish(module: nn.Module, made: nn.Module) -> None:
        match module:
            case CrossAttention(qkv=nn.Linear() as qkv):
                # Of shared projections a step needs the queries alone.
                queries = module.config.heads * module.config.head_size
                setattr(made, "query", layer(qkv, slice(queries)))  # noqa: B010
                setattr(made, "key_value", layer(qkv, slice(queries, None)))  # noqa: B010
                setattr(made, "qkv", None)  # noqa: B010  # torch's types know no missing module
            case Head():
                made.product = layer(module)
                if words is not None:
                    made._parameters.clear()
        if value is not None:
            for name, parameter in made.named_parameters(recurse=False):
                own = value(parameter).to(parameter.dtype, copy=True)
                made.register_parameter(name, nn.Parameter(own, requires_grad=False))

    return replace_modules(module, other, finish)


def _version(weight: Tensor) -> int:
    """Counts the changes in place. Tensors made for inference alone have no count."""
    return 0 if weight.is_inference() else weight._version
