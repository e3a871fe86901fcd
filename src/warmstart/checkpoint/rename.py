"""Tables of tensor names, theirs and ours, used in both directions.

A `Rule` names modules (``h.{i}.attn.c_attn``) and covers their weight and bias; a rule that ends in
``.weight`` or ``.bias`` covers that tensor only. ``{i}`` is a layer number.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from warmstart.errors import ConversionError

if TYPE_CHECKING:  # the command line lists families without torch
    from torch import Tensor

__all__ = ["Location", "Match", "Rule", "locate", "match", "to_ours", "to_theirs"]

Shape = tuple[int, ...]
_LISTED = 8  # names of each kind that an error spells out


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a table.

    Attributes:
        theirs: their module, or several whose rows are concatenated in ours.
        ours: our module.
        transpose: whether their weight is stored as [in, out].
        rows: rows of each of several modules, if they differ; default: equal parts.
        heads: number of key/value heads, if their rows are grouped by these: its queries, its key
            and its value (GPT-NeoX, Falcon); ours are all queries, all keys, all values. 0: the
            same order as ours.
        queries: query heads of each key/value head, where rows are grouped.
        leading_axis: whether theirs has a leading axis of size 1 (BART's bias of the head).
    """

    theirs: str | tuple[str, ...]
    ours: str
    transpose: bool = False
    rows: tuple[int, ...] | None = None
    heads: int = 0
    queries: int = 1
    leading_axis: bool = False


@dataclass(frozen=True, slots=True)
class Location:
    """Their tensors that make up one of ours."""

    names: tuple[str, ...]
    transpose: bool
    rows: tuple[int, ...] | None
    heads: int = 0
    queries: int = 1
    leading_axis: bool = False

    def shapes(self, ours: Shape) -> tuple[Shape, ...]:
        """Shape of each of their tensors, given ours."""
        shapes = tuple((count, *ours[1:]) for count in self.rows_of_each(ours[0]))
        if self.leading_axis:
            return tuple((1, *shape) for shape in shapes)
        return tuple(shape[::-1] for shape in shapes) if self.transpose else shapes

    def rows_of_each(self, total: int) -> tuple[int, ...]:
        """Number of our rows in each of their tensors."""
        return self.rows or (total // len(self.names),) * len(self.names)


@dataclass(frozen=True, slots=True)
class Match:
    """A checkpoint's tensors matched with a model's.

    Attributes:
        found: ours -> its location among theirs.
        absent: optional ones of ours that the checkpoint lacks.
        unused: theirs that are dropped on purpose.
    """

    found: Mapping[str, Location]
    absent: tuple[str, ...]
    unused: tuple[str, ...]


def locate(ours: str, rules: Iterable[Rule]) -> Location:
    """The location of one of our tensors, by the first rule that names it."""
    module, _, kind = ours.rpartition(".")
    for rule in rules:
        whole = rule.ours.endswith((".weight", ".bias"))
        layer = _layer(rule.ours, ours if whole else module)
        if layer is None:
            continue
        theirs = (rule.theirs,) if isinstance(rule.theirs, str) else rule.theirs
        names = tuple(name.replace("{i}", layer) for name in theirs)
        return Location(
            names=names if whole else tuple(f"{name}.{kind}" for name in names),
            transpose=rule.transpose and kind == "weight",
            rows=rule.rows,
            heads=rule.heads,
            queries=rule.queries,
            leading_axis=rule.leading_axis,
        )
    raise AssertionError(f"no rule names {ours}")


def match(
    expected: Mapping[str, Shape],
    available: Mapping[str, Shape],
    rules: Sequence[Rule],
    *,
    what: str,
    optional: Iterable[str] = (),
    unused: Sequence[str] = (),
    ignored: Sequence[str] = (),
) -> Match:
    """Matches every tensor of a model with a checkpoint's, strictly.

    Args:
        expected: shapes of our tensors.
        available: shapes of theirs.
        rules: the family's table.
        what: names the checkpoint in the error.
        optional: ours that may be missing.
        unused: patterns of theirs that are dropped and reported.
        ignored: patterns of theirs that are buffers, or copies of parameters.

    Raises:
        ConversionError: with every missing, unexpected and misshapen tensor at once.
    """
    optional = set(optional)
    found: dict[str, Location] = {}
    absent: list[str] = []
    missing: list[str] = []
    misshapen: list[str] = []
    taken: set[str] = set()
    for ours, shape in expected.items():
        location = locate(ours, rules)
        lacking = [name for name in location.names if name not in available]
        taken.update(location.names)
        if ours in optional and len(lacking) == len(location.names):
            absent.append(ours)
            continue
        missing += lacking
        if lacking:
            continue
        for name, theirs in zip(location.names, location.shapes(shape), strict=True):
            if tuple(available[name]) != theirs:
                misshapen.append(
                    f"{name} is {list(available[name])} where the config has {list(theirs)}"
                )
        found[ours] = location
    left = [name for name in available if name not in taken and not _any(name, ignored)]
    unexpected = [name for name in left if not _any(name, unused)]
    if missing or unexpected or misshapen:
        raise ConversionError(_report(what, missing, unexpected, misshapen, set(available)))
    return Match(found, tuple(absent), tuple(name for name in left if _any(name, unused)))


def to_ours(location: Location, tensors: "Sequence[Tensor]") -> "Tensor":
    """One of our tensors from theirs."""
    if location.leading_axis:
        tensors = [tensor.squeeze(0) for tensor in tensors]
    if location.transpose:
        tensors = [tensor.T for tensor in tensors]
    if location.heads:
        tensors = [_ungrouped(tensor, location.heads, location.queries) for tensor in tensors]
    if len(tensors) == 1:
        return tensors[0]
    import torch

    return torch.cat(list(tensors))


def to_theirs(location: Location, tensor: "Tensor") -> "dict[str, Tensor]":
    """Their tensors from one of ours: the inverse of `to_ours`."""
    rows = list(location.rows_of_each(tensor.shape[0]))
    if location.heads:
        tensor = _grouped(tensor, location.heads, location.queries)
    pieces = tensor.split(rows)
    return {
        name: _in_their_layout(location, piece).contiguous()
        for name, piece in zip(location.names, pieces, strict=True)
    }


def _in_their_layout(location: Location, piece: "Tensor") -> "Tensor":
    if location.leading_axis:
        return piece[None]
    return piece.T if location.transpose else piece


def _ungrouped(tensor: "Tensor", heads: int, queries: int) -> "Tensor":
    """Rows by key/value head: queries, key, value -> all queries, all keys, all values."""
    import torch

    by_head = tensor.unflatten(0, (heads, queries + 2, -1))
    return torch.cat([part.flatten(0, 2) for part in by_head.split((queries, 1, 1), dim=1)])


def _grouped(tensor: "Tensor", heads: int, queries: int) -> "Tensor":
    """The inverse of `_ungrouped`."""
    import torch

    size = tensor.shape[0] // (queries + 2)
    parts = tensor.split((queries * size, size, size))
    by_head = [
        part.unflatten(0, (heads, count, -1))
        for part, count in zip(parts, (queries, 1, 1), strict=True)
    ]
    return torch.cat(by_head, dim=1).flatten(0, 2)


def _layer(pattern: str, name: str) -> str | None:
    """The layer number in a name that matches a pattern ("" without one), or None."""
    if "{i}" not in pattern:
        return "" if pattern == name else None
    before, after = pattern.split("{i}", 1)
    layer = name[len(before) : len(name) - len(after)]
    return layer if name == before + layer + after and layer.isdecimal() else None


def _any(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _report(
    what: str,
    missing: Sequence[str],
    unexpected: Sequence[str],
    misshapen: Sequence[str],
    available: set[str],
) -> str:
    parts = []
    if missing:
        parts.append(f"{len(missing)} missing ({_listing(missing, unexpected or available)})")
    if unexpected:
        parts.append(f"{len(unexpected)} unexpected ({_listing(unexpected, missing)})")
    if misshapen:
        parts.append(f"{len(misshapen)} misshapen ({_listing(misshapen, ())})")
    return (
        f"The tensors of {what} do not fit its config: {', '.join(parts)}. "
        "Check that config.json and the safetensors files belong together."
    )


def _listing(names: Sequence[str], others: Iterable[str]) -> str:
    others = list(others)
    spelled = []
    for name in names[:_LISTED]:
        near = difflib.get_close_matches(name, others, n=1, cutoff=0.8)
        spelled.append(f"{name}, nearest {near[0]}" if near and near[0] != name else name)
    if len(names) > _LISTED:
        spelled.append(f"and {len(names) - _LISTED} more")
    return "; ".join(spelled)
