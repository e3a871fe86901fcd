"""Where every tensor of a composition comes from, with counts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Final, Literal, get_args

__all__ = ["PROVENANCE", "Entry", "Origin", "Provenance"]

PROVENANCE: Final = "provenance.json"  # in a model folder

Origin = Literal["leveraged", "copied", "shared", "random", "unused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One tensor.

    Attributes:
        name: our name; for an unused tensor that of the checkpoint.
        part: part of the model, for the rows of the table.
        origin: leveraged (from a checkpoint), copied (initially equal to another tensor of the
            model), shared (the parameter of another name, counted there), random (new; a gate is
            zero), or unused (in a checkpoint, not in the model).
        shape: in the model. If the vocabulary was replaced, the kept rows of a tensor and the new
            ones are two entries.
        source: the checkpoint; for a shared tensor the name that it is counted under, for a copied
            one the tensor that it was copied from.
    """

    name: str
    part: str
    origin: Origin
    shape: tuple[int, ...]
    source: str = ""

    @property
    def count(self) -> int:
        """Values in the tensor."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Provenance:
    """A table of every tensor of a composition.

    ``str()`` gives counts by part; iterate for the tensors.
    """

    entries: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def count(self, origin: Origin, parts: Iterable[str] | None = None) -> int:
        """Values of one origin, in some parts or in all."""
        wanted = None if parts is None else set(parts)
        return sum(
            entry.count
            for entry in self.entries
            if entry.origin == origin and (wanted is None or entry.part in wanted)
        )

    @property
    def total(self) -> int:
        """Parameters of the model, each counted once: leveraged, copied and random."""
        return self.count("leveraged") + self.count("copied") + self.count("random")

    def parts(self) -> tuple[str, ...]:
        """The parts that have tensors, in the model's order."""
        return tuple(dict.fromkeys(entry.part for entry in self.entries))

    def counts(self) -> dict[str, dict[Origin, int]]:
        """Values by part and origin, with a row "total"."""
        table = {
            part: {origin: self.count(origin, [part]) for origin in get_args(Origin)}
            for part in self.parts()
        }
        table["total"] = {origin: self.count(origin) for origin in get_args(Origin)}
        return table

    def to_json(self) -> dict[str, Any]:
        """Counts and every tensor, as JSON values."""
        return {
            "parameters": self.total,
            "counts": self.counts(),
            "tensors": [{**asdict(entry), "count": entry.count} for entry in self.entries],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Provenance":
        """The inverse of `to_json`."""
        return cls(
            tuple(
                Entry(
                    name=tensor["name"],
                    part=tensor["part"],
                    origin=tensor["origin"],
                    shape=tuple(tensor["shape"]),
                    source=tensor["source"],
                )
                for tensor in value["tensors"]
            )
        )

    def __str__(self) -> str:
        counts = self.counts()
        # Most compositions copy nothing.
        origins = [
            origin for origin in get_args(Origin) if origin != "copied" or counts["total"][origin]
        ]
        width = max(len(part) for part in counts)
        lines = [" ".join([" " * width, *(f"{origin:>13}" for origin in origins)])]
        lines += [
            " ".join([f"{part:<{width}}", *(f"{row[origin]:>13,}" for origin in origins)])
            for part, row in counts.items()
        ]
        whose = "leveraged, copied" if "copied" in origins else "leveraged"
        lines.append(f"{self.total:,} parameters: {whose} and random; shared are counted once")
        return "\n".join(lines)
