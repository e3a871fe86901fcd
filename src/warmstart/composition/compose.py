"""The warm start: an encoder checkpoint and a decoder checkpoint become one model."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from warmstart.checkpoint.files import Checkpoint
from warmstart.checkpoint.rename import to_ours
from warmstart.composition.composition import Composition, configure
from warmstart.composition.cross_attention_start import (
    copies_of_self_attention,
    copy_self_attention,
)
from warmstart.composition.half import Half, Source, match_halves
from warmstart.composition.provenance import Provenance
from warmstart.composition.sharing import share
from warmstart.composition.trace import trace
from warmstart.model.copies import materialize
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.norm import LayerNorm, RMSNorm

__all__ = ["compose", "outline", "plan"]


def outline(composition: Composition) -> EncoderDecoder:
    """The model without storage, on the meta device, its sharing in place."""
    with torch.device("meta"), _Uninitialised():
        model = EncoderDecoder(configure(composition))
    share(model, composition.share)
    return model


class _Uninitialised(TorchFunctionMode):
    """Leaves out the initialisation of new modules.

    A meta tensor has nothing to fill, and torch would load its compiler for it: a second or more,
    and 77 MB.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return None
        return func(*args, **(kwargs or {}))


def plan(composition: Composition, encoder: Source | None, decoder: Source | None) -> Provenance:
    """Where every tensor would come from. Reads no weights.

    Args:
        composition: the architectures and how they are joined.
        encoder: its checkpoint; None for random weights.
        decoder: its checkpoint; None for random weights.
    """
    model = outline(composition)
    halves = match_halves(model, composition, encoder, decoder)
    return trace(model, halves, _copies(model, composition))


def compose(
    composition: Composition,
    encoder: Source | None,
    decoder: Source | None,
    *,
    seed: int = 0,
) -> tuple[EncoderDecoder, Provenance]:
    """Builds the model: leveraged tensors bit for bit, new ones as the composition defines them.

    If halves of different checkpoints share, they take the encoder's values.

    Args:
        composition: the architectures and how they are joined.
        encoder: its checkpoint, opened; None for random weights.
        decoder: its checkpoint, opened; None for random weights.
        seed: of the random tensors. The name of a tensor determines its stream, so a tensor that is
            new in two compositions is equal in both.

    Returns:
        The model, in float32 on the CPU, and its provenance.

    Raises:
        ConversionError: if a checkpoint does not fit its config.
        CompositionError: if the halves cannot be joined as asked.
    """
    model = outline(composition)
    halves = match_halves(model, composition, encoder, decoder)
    copies = _copies(model, composition)
    provenance = trace(model, halves, copies)
    materialize(model, lambda parameter: torch.empty(parameter.shape))
    _initialise(model, seed)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    written: set[int] = set()
    for half, source in zip(halves, (encoder, decoder), strict=True):
        if half is None:
            continue
        assert source is not None and isinstance(source.checkpoint, Checkpoint)
        _load(half, source.checkpoint, parameters, written)
    copied = [entry.name for entry in provenance if entry.origin == "copied"]
    copy_self_attention(model, {name: copies[name] for name in copied})
    return model, provenance


def _copies(model: EncoderDecoder, composition: Composition) -> dict[str, str]:
    # With a closed gate any projections would do, but random ones give little signal at first, and
    # the gate opens many times slower (docs/reference/results.md).
    copied = composition.cross_attention in ("copy", "gated")
    return copies_of_self_attention(model) if copied else {}


def _load(
    half: Half, checkpoint: Checkpoint, parameters: Mapping[str, Tensor], written: set[int]
) -> None:
    """Copies the tensors of one half; a shared parameter keeps its first value."""
    for ours, location in half.found.items():
        parameter = parameters[ours]
        if id(parameter) in written:
            continue
        names = [half.spelled[name] for name in location.names]
        tensors = checkpoint.read(names)
        value = to_ours(location, [tensors[name] for name in names])
        rows = half.rows_of(ours)
        with torch.no_grad():
            if rows is None:
                parameter.copy_(value)
            else:
                kept = rows >= 0
                parameter[kept] = value[rows[kept]].to(parameter.dtype)
        written.add(id(parameter))


def _initialise(model: EncoderDecoder, seed: int) -> None:
    """Random weights as in the checkpoints' papers: normal matrices, zero biases, unit norms.

    Every tensor is written; leveraged ones are overwritten later.
    """
    done: set[int] = set()
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in done:
                continue
            done.add(id(parameter))
            with torch.no_grad():
                if isinstance(module, RMSNorm):
                    parameter.fill_(0.0 if module.unit_offset else 1.0)
                elif isinstance(module, LayerNorm):
                    parameter.fill_(1.0 if name == "weight" else 0.0)
                elif name in ("bias", "gate"):
                    # With a gate of zero the decoder computes what its checkpoint computes.
                    parameter.zero_()
                else:
                    whole = f"{prefix}.{name}"
                    stream = torch.Generator().manual_seed(seed + zlib.crc32(whole.encode()))
                    parameter.normal_(0.0, _std(model, whole), generator=stream)


def _std(model: EncoderDecoder, name: str) -> float:
    config = model.config
    if config.encoder is not None and name.startswith("encoder."):
        return config.encoder.initializer_range
    return config.decoder.initializer_range
