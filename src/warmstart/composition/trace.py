"""Traces every tensor of a composition to its origin."""

from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor

from warmstart.composition.half import Half
from warmstart.composition.provenance import Entry, Origin, Provenance
from warmstart.model.encoder_decoder import EncoderDecoder

__all__ = ["part_of", "trace"]

_LAYERS = ("blocks", "final_norm", "relative_bias")


def trace(
    model: EncoderDecoder, halves: Iterable[Half | None], copies: Mapping[str, str]
) -> Provenance:
    """One entry for every name of a tensor, those of the encoder first.

    Args:
        model: on any device.
        halves: the tensors that each half takes from its checkpoint.
        copies: copied tensors -> the tensors that they copy.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    present = [half for half in halves if half is not None]
    givers: dict[int, tuple[Half, str]] = {}
    for half in present:
        for name in half.found:
            givers.setdefault(id(parameters[name]), (half, name))
    first: dict[int, str] = {}
    entries: list[Entry] = []
    for name, parameter in parameters.items():
        shape = tuple(parameter.shape)
        if id(parameter) in first:
            entries.append(_entry(name, "shared", shape, first[id(parameter)]))
            continue
        first[id(parameter)] = name
        if id(parameter) in givers:
            half, taken_as = givers[id(parameter)]
            entries += _leveraged(name, shape, half, half.rows_of(taken_as))
        elif name in copies:
            entries.append(_entry(name, "copied", shape, copies[name]))
        else:
            entries.append(_entry(name, "random", shape))
    taken = {
        (half.source, theirs)
        for half in present
        for ours, location in half.found.items()
        if givers[id(parameters[ours])][0].source == half.source
        for theirs in location.names
    }
    return Provenance((*entries, *_not_taken(present, taken)))


def _leveraged(
    name: str, shape: tuple[int, ...], half: Half, kept_rows: Tensor | None
) -> Iterator[Entry]:
    """One entry, or two if only some rows are from the checkpoint."""
    if kept_rows is None:
        yield _entry(name, "leveraged", shape, half.source)
        return
    kept = int((kept_rows >= 0).sum())
    if kept:
        yield _entry(name, "leveraged", (kept, *shape[1:]), half.source)
    if kept < shape[0]:
        yield _entry(name, "random", (shape[0] - kept, *shape[1:]))


def _not_taken(halves: Iterable[Half], taken: set[tuple[str, str]]) -> Iterator[Entry]:
    """Tensors of checkpoints that are not in the model, each once.

    One checkpoint may serve both halves, each of which drops tensors that the other takes; and if
    two share, the encoder's tensors replace the decoder's.
    """
    listed = set(taken)
    for half in halves:
        for ours, location in half.found.items():
            rows = half.rows_of(ours)
            (name, *_) = location.names
            if rows is None or (half.source, name) not in taken:
                continue
            shape = half.available[name]
            left = shape[0] - int((rows >= 0).sum())
            if left > 0:
                yield _unused(half, name, (left, *shape[1:]))
        dropped = [name for location in half.found.values() for name in location.names]
        for name in (*half.unused, *dropped):
            if (half.source, name) not in listed:
                listed.add((half.source, name))
                yield _unused(half, name, half.available[name])


def _unused(half: Half, name: str, shape: tuple[int, ...]) -> Entry:
    return Entry(
        name=half.spelled.get(name, name),
        part="not taken",
        origin="unused",
        shape=shape,
        source=half.source,
    )


def _entry(name: str, origin: Origin, shape: tuple[int, ...], source: str = "") -> Entry:
    return Entry(name=name, part=part_of(name), origin=origin, shape=shape, source=source)


def part_of(name: str) -> str:
    """The part of the model that a tensor belongs to, from our name of it."""
    if ".cross_attention." in name:
        return "cross-attention"
    side, _, rest = name.partition(".")
    if side not in ("encoder", "decoder"):
        return side
    kind = rest.partition(".")[0]
    return f"{side} {'layers' if kind in _LAYERS else kind}"
