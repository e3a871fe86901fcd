"""A model laid out for decoding on a CPU, where most of the time goes into a few rows' products.

The modules stay what they are; their linear layers are replaced by ones that hold their weights as
the kernels want them, which is up to twice as fast as a product that has to bring them there each
time. Measured on AVX2 with the decoder of `docs/performance.md`.

Shape legend: R rows (any leading shape), I and O the sizes of a linear layer's input and output,
T tokens (any leading shape), V vocabulary, E embedding size.
"""

import copy
import warnings
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from warmstart.errors import UsageError
from warmstart.model.attention import CrossAttention
from warmstart.model.embedding import Embedding
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.head import Head

__all__ = ["REDUCED", "is_reduced", "laid_out", "reduced"]

REDUCED = ("float16", "int8")  # kinds of `reduced`
_PACKED_ROWS = 8  # rows that oneDNN lays weights out for; good from 1 row to some hundred


class Float32Linear(nn.Module):
    """A linear layer in oneDNN's layout. It holds a copy, beside the layer itself."""

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        self._weight, self._bias = weight_OI.detach(), _detached(bias_O)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(self._weight, _PACKED_ROWS)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [R, I] -> [R, O]"""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self._bias, "none", [], ""
        )
        return product


class Float16Linear(nn.Module):
    """A linear layer whose weights are held in float16, and whose sums are in float32."""

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        weight = weight_OI.detach().float()
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight, _float(bias_O))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [R, I] -> [R, O]"""
        product: Tensor = torch.ops.quantized.linear_dynamic_fp16(x, self._packed)
        return product


class Int8Linear(nn.Module):
    """A linear layer of 8-bit weights, scaled by output; inputs are rounded as they come."""

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        weight = weight_OI.detach().float()
        scales_O = _scales(weight).double()
        zeros_O = torch.zeros_like(scales_O, dtype=torch.long)
        with warnings.catch_warnings():  # of names that move to another package
            warnings.simplefilter("ignore")
            rounded = torch.quantize_per_channel(weight, scales_O, zeros_O, 0, torch.qint8)
            self._packed = torch.ops.quantized.linear_prepack(rounded, _float(bias_O))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: [R, I] -> [R, O]"""
        # Inputs of 7 bits: two products of 8 bits overflow what AVX2 adds them up in.
        product: Tensor = torch.ops.quantized.linear_dynamic(x, self._packed, True)
        return product


class Int8Words(nn.Module):
    """Word vectors of 8 bits, scaled by word."""

    def __init__(self, weight_VE: Tensor) -> None:
        super().__init__()
        weight = weight_VE.detach().float()
        self.register_buffer("scales_V", _scales(weight))
        self.register_buffer("rows_VE", (weight / self.scales_V[:, None]).round().to(torch.int8))

    def forward(self, tokens_T: Tensor) -> Tensor:
        """Shape: [T] -> [T, E]"""
        vectors: Tensor = self.rows_VE[tokens_T] * self.scales_V[tokens_T][..., None]
        return vectors


class Float16Words(nn.Module):
    """Word vectors in float16, given out in float32."""

    def __init__(self, weight_VE: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows_VE", weight_VE.detach().half())

    def forward(self, tokens_T: Tensor) -> Tensor:
        """Shape: [T] -> [T, E]"""
        vectors: Tensor = self.rows_VE[tokens_T].float()
        return vectors


_Linear = Callable[[Tensor, Tensor | None], nn.Module]
_Words = Callable[[Tensor], nn.Module]
# By model: what its weights were when they were laid out, and the result.
_known: WeakKeyDictionary[EncoderDecoder, tuple[tuple[tuple[int, int], ...], EncoderDecoder]]
_known = WeakKeyDictionary()


def laid_out(model: EncoderDecoder) -> EncoderDecoder:
    """The same model with its decoder's weights as decoding wants them.

    It shares all but the decoder's linear layers and the head with the model. Where the model is
    in evaluation mode the result is kept until its weights change; in training mode it is not, so
    that nobody pays for it between two evaluations.

    Args:
        model: in float32 on a CPU; any other is given back as it is, and so is a reduced one.
    """
    weights = [parameter for _, parameter in model.named_parameters()]
    if (
        is_reduced(model)
        or any(weight.device.type != "cpu" or weight.dtype != torch.float32 for weight in weights)
        or not torch.backends.mkldnn.is_available()
    ):
        return model
    state = tuple((weight.data_ptr(), _version(weight)) for weight in weights)
    if model in _known and _known[model][0] == state:
        return _known[model][1]
    _known.pop(model, None)  # before the new one is made, so that there are never three
    made = _shallow(model)
    for name in ("decoder", "head"):
        setattr(made, name, _replaced(getattr(model, name), Float32Linear, None, {}))
    if not model.training:
        _known[model] = state, made
    return made.eval()


def reduced(model: EncoderDecoder, kind: str) -> EncoderDecoder:
    """A model for decoding alone, whose matrices are held in fewer bits.

    Args:
        model: in float32 on a CPU.
        kind: "float16" or "int8"; see the classes above.

    Raises:
        UsageError: if the machine has no such kernels.
    """
    if not {"x86", "fbgemm"} & set(torch.backends.quantized.supported_engines):
        raise UsageError(
            f"dtype '{kind}' needs an x86 processor's kernels, which this torch lacks; use "
            "'float32' or 'bfloat16'."
        )
    linear, words = (Int8Linear, Int8Words) if kind == "int8" else (Float16Linear, Float16Words)
    made: EncoderDecoder = _replaced(model, linear, words, {})  # type: ignore[assignment]
    return made.eval()


def is_reduced(model: EncoderDecoder) -> bool:
    """Whether `reduced` made it, so that it can neither be trained nor saved."""
    return isinstance(model.decoder.embedding.word, Int8Words | Float16Words)


def _replaced(
    module: nn.Module, linear: _Linear, words: _Words | None, seen: dict[int, nn.Module]
) -> nn.Module:
    """A copy of the tree with other linear layers and word vectors. What is shared stays so.

    Args:
        module: the tree.
        linear: makes a layer of weight and bias.
        words: makes word vectors of their matrix; None: they are kept, and so is what the head
            holds beside its layer.
        seen: copies that there are already, by the original's id.
    """
    if id(module) in seen:
        return seen[id(module)]
    if isinstance(module, nn.Linear):
        made = linear(module.weight, module.bias)
    else:
        made = _shallow(module)
        for name, child in module.named_children():
            setattr(made, name, _replaced(child, linear, words, seen))
    match module:
        case CrossAttention(qkv=nn.Linear() as qkv):
            # Of shared projections a step needs the queries alone.
            queries = module.config.heads * module.config.head_size
            for name, rows in (("query", slice(queries)), ("key_value", slice(queries, None))):
                bias: Tensor | None = qkv.bias  # torch's types forget that it may be missing
                setattr(made, name, linear(qkv.weight[rows], None if bias is None else bias[rows]))
            made.qkv = None
        case Head():
            made.product = linear(module.weight, module.bias)
            if words is not None:
                made._parameters.clear()
        case Embedding() if words is not None:
            weight = module.word.weight
            if id(weight) not in seen:
                seen[id(weight)] = words(weight)
            made.word = seen[id(weight)]
    seen[id(module)] = made
    return made


def _shallow(module: nn.Module) -> nn.Module:
    """A copy that holds the same tensors and modules, until it is given others."""
    made = copy.copy(module)
    for name in ("_modules", "_parameters", "_buffers"):
        made.__dict__[name] = dict(made.__dict__[name])
    return made


def _version(weight: Tensor) -> int:
    """Counts the changes in place. Tensors made for inference alone have no count."""
    return 0 if weight.is_inference() else weight._version


def _scales(weight_OI: Tensor) -> Tensor:
    """What one step of a row's 8 bits is worth. Shape: [O]"""
    # A row of zeros has no scale of its own.
    return (weight_OI.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)


def _float(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach().float()


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()
