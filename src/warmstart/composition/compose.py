"""The warm start: an encoder checkpoint and a decoder checkpoint become one model."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from warmstart.checkpoint.files import Checkpoint
from warmstart.checkpoint.rename import Match, Rule, locate, match, to_ours
from warmstart.composition.composition import Composition, configure
from warmstart.composition.provenance import Entry, Origin, Provenance
from warmstart.composition.sharing import share
from warmstart.families.catalogue import family_of
from warmstart.families.family import Family
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.norm import LayerNorm, RMSNorm

__all__ = ["compose", "materialise", "outline", "plan"]

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Half:
    """One half's tensors and what its checkpoint has for them.

    Attributes:
        source: the checkpoint's name.
        match: by our whole-model names; theirs as the family's rules spell them.
        spelled: theirs as the rules spell them -> as the checkpoint does.
        available: shapes of the checkpoint's tensors, as the rules spell them.
    """

    source: str
    match: Match
    spelled: Mapping[str, str]
    available: Shapes


def outline(composition: Composition) -> EncoderDecoder:
    """The model without storage, on the meta device, its sharing in place."""
    with torch.device("meta"):
        model = EncoderDecoder(configure(composition))
    share(model, composition.share)
    return model


def plan(
    composition: Composition,
    encoder: Checkpoint | str | None,
    decoder: Checkpoint | str | None,
) -> Provenance:
    """Where every tensor would come from. Reads no weights.

    Args:
        composition: the architectures and how they are joined.
        encoder: its checkpoint; a name instead stands for one that has every tensor that its
            config describes, so that configs alone suffice; None for random weights.
        decoder: likewise.
    """
    model = outline(composition)
    return _trace(model, _halves(model, composition, encoder, decoder))


def compose(
    composition: Composition,
    encoder: Checkpoint | None,
    decoder: Checkpoint | None,
    *,
    seed: int = 0,
) -> tuple[EncoderDecoder, Provenance]:
    """Builds the model: leveraged tensors bit for bit, new ones random.

    Where halves of different checkpoints share, the encoder's values are taken.

    Args:
        composition: the architectures and how they are joined.
        encoder: checkpoint of the encoder; None for random weights.
        decoder: checkpoint of the decoder; None for random weights.
        seed: of the random tensors. Each has a stream of its own by its name, so a tensor that
            is new in two compositions starts equal in both.

    Returns:
        The model, in float32 on the CPU, and its provenance.

    Raises:
        ConversionError: if a checkpoint does not fit its config.
        CompositionError: if the halves cannot be joined as asked.
    """
    model = outline(composition)
    halves = _halves(model, composition, encoder, decoder)
    provenance = _trace(model, halves)
    materialise(model)
    _initialise(model, seed)
    random = {entry.name for entry in provenance if entry.origin == "random"}
    parameters = dict(model.named_parameters(remove_duplicate=False))
    written: set[int] = set()
    for half, checkpoint in zip(halves, (encoder, decoder), strict=True):
        if half is None:
            continue
        assert checkpoint is not None
        _load(half, checkpoint, parameters, written)
    assert not any(id(parameters[name]) in written for name in random)
    return model, provenance


def materialise(model: nn.Module) -> None:
    """Gives a model on the meta device storage on the CPU, keeping shared parameters shared."""
    real: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if id(parameter) not in real:
                empty = torch.empty_like(parameter, device="cpu")
                real[id(parameter)] = nn.Parameter(empty, parameter.requires_grad)
            setattr(module, name, real[id(parameter)])


def _load(
    half: _Half, checkpoint: Checkpoint, parameters: Mapping[str, Tensor], written: set[int]
) -> None:
    """Copies one half's tensors; a shared parameter keeps what was written first."""
    family = family_of(checkpoint.config, checkpoint.name)
    spelled = {family.strip(name): name for name in checkpoint.files}
    for ours, location in half.match.found.items():
        parameter = parameters[ours]
        if id(parameter) in written:
            continue
        names = [spelled[name] for name in location.names]
        tensors = checkpoint.read(names)
        with torch.no_grad():
            parameter.copy_(to_ours(location, [tensors[name] for name in names]))
        written.add(id(parameter))


def _halves(
    model: EncoderDecoder,
    composition: Composition,
    encoder: Checkpoint | str | None,
    decoder: Checkpoint | str | None,
) -> tuple[_Half | None, _Half | None]:
    shapes = {
        name: tuple(parameter.shape)
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if not (name == "head.weight" and model.config.head.tied)
    }
    encoder_half = decoder_half = None
    if encoder is not None:
        family, stack = composition.encoder_family, model.config.encoder
        assert family is not None and stack is not None
        encoder_half = _half(
            encoder,
            family,
            family.rules(stack),
            {name: shape for name, shape in shapes.items() if name.startswith("encoder.")},
            unused=(*family.unused, f"{family.head_prefix}*"),
        )
    if decoder is not None:
        family = composition.decoder_family
        drops_head = composition.lm_head == "tied"
        decoder_half = _half(
            decoder,
            family,
            family.rules(model.config.decoder),
            {
                name: shape
                for name, shape in shapes.items()
                if name.startswith(("decoder.", "head."))
            },
            unused=(*family.unused, f"{family.head_prefix}*") if drops_head else family.unused,
        )
    return encoder_half, decoder_half


def _half(
    checkpoint: Checkpoint | str,
    family: Family,
    rules: Sequence[Rule],
    expected: Shapes,
    unused: Sequence[str],
) -> _Half:
    """Meets one half with its checkpoint, strictly.

    Cross-attention, the head and the pooler may be absent where the checkpoint has nothing of
    them; they start random then.
    """
    whole = {name.removeprefix("encoder.").removeprefix("decoder."): name for name in expected}
    bare = {name: expected[whole[name]] for name in whole}
    if isinstance(checkpoint, str):
        source, spelled = checkpoint, {}
        available = {
            name: shape
            for ours, ours_shape in bare.items()
            if ".cross_attention." not in ours
            for location in [locate(ours, rules)]
            for name, shape in zip(location.names, location.shapes(ours_shape), strict=True)
        }
    else:
        source = checkpoint.name
        spelled = {family.strip(name): name for name in checkpoint.files}
        shapes = checkpoint.shapes()
        available = {name: shapes[theirs] for name, theirs in spelled.items()}
    optional: list[str] = []
    for part in (".cross_attention.", ".head.", ".pooler."):
        names = [name for name in bare if part in f".{name}"]
        if not any(piece in available for name in names for piece in locate(name, rules).names):
            optional += names
    found = match(
        bare,
        available,
        rules,
        what=f"{source} ({family.name})",
        optional=optional,
        unused=unused,
        ignored=family.ignored,
    )
    return _Half(
        source=source,
        match=Match(
            found={whole[name]: location for name, location in found.found.items()},
            absent=tuple(whole[name] for name in found.absent),
            unused=found.unused,
        ),
        spelled=spelled,
        available=available,
    )


def _trace(model: EncoderDecoder, halves: Iterable[_Half | None]) -> Provenance:
    """One entry for every name of a tensor, the encoder's first."""
    sources: dict[int, str] = {}
    parameters = dict(model.named_parameters(remove_duplicate=False))
    present = [half for half in halves if half is not None]
    for half in present:
        for name in half.match.found:
            sources.setdefault(id(parameters[name]), half.source)
    first: dict[int, str] = {}
    entries = []
    for name, parameter in parameters.items():
        origin: Origin = "leveraged" if id(parameter) in sources else "random"
        source = sources.get(id(parameter), "")
        if id(parameter) in first:
            origin, source = "shared", first[id(parameter)]
        first.setdefault(id(parameter), name)
        entries.append(
            Entry(
                name=name,
                part=_part(name),
                origin=origin,
                shape=tuple(parameter.shape),
                source=source,
            )
        )
    taken = {
        (half.source, theirs)
        for half in present
        for ours, location in half.match.found.items()
        if sources[id(parameters[ours])] == half.source
        for theirs in location.names
    }
    return Provenance((*entries, *_not_taken(present, taken)))


def _not_taken(halves: Iterable[_Half], taken: set[tuple[str, str]]) -> Iterator[Entry]:
    """What checkpoints hold and the model does not, each tensor once.

    One checkpoint may serve both halves, each dropping what the other takes; and of two that
    share, the decoder's gives way to the encoder's.
    """
    listed = set(taken)
    for half in halves:
        dropped = [name for location in half.match.found.values() for name in location.names]
        for name in (*half.match.unused, *dropped):
            if (half.source, name) in listed:
                continue
            listed.add((half.source, name))
            yield Entry(
                name=half.spelled.get(name, name),
                part="not taken",
                origin="unused",
                shape=half.available[name],
                source=half.source,
            )


def _part(name: str) -> str:
    if ".cross_attention." in name:
        return "cross-attention"
    side, _, rest = name.partition(".")
    if side not in ("encoder", "decoder"):
        return side
    kind = rest.partition(".")[0]
    return f"{side} {'layers' if kind in ('blocks', 'final_norm') else kind}"


def _initialise(model: EncoderDecoder, seed: int) -> None:
    """Random weights as the checkpoints' authors began: normal matrices, zero biases, unit norms.

    Every tensor is written; leveraged ones are overwritten after.
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
                elif name == "bias":
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
