"""Which columns of a file are the source and the targets: as told, or by well-known names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from warmstart.errors import UsageError, did_you_mean

__all__ = ["ColumnMapping", "Columns", "find_columns"]

# As users write it: {"source": "complex", "target": "simple"}. Numbers, from 1, are columns of a
# TSV file without a header; a list of targets is several references of one example.
ColumnMapping = Mapping[str, str | int | Sequence[str | int]]

_SIDES: Final = ("source", "target", "targets")

# Published data sets name their columns so; the first pair that a file has is taken.
WELL_KNOWN: Final[tuple[tuple[str, str], ...]] = (
    ("source", "target"),
    ("source", "targets"),
    ("src", "tgt"),
    ("src", "trg"),
    ("source", "reference"),
    ("source", "references"),
    ("complex", "simple"),
    ("normal", "simple"),
    ("original", "simplified"),
    ("original", "simplifications"),
    ("article", "highlights"),
    ("article", "summary"),
    ("article", "abstract"),
    ("document", "summary"),
    ("dialogue", "summary"),
    ("text", "summary"),
    ("text", "headline"),
    ("body", "subject"),
    ("email_body", "subject_line"),
    ("input", "output"),
    ("input", "target"),
    ("inputs", "targets"),
    ("input_text", "target_text"),
    ("incorrect", "correct"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a file that make an example."""

    source: str
    targets: tuple[str, ...]  # at least one

    def __str__(self) -> str:
        return f"{self.source!r} as the source and {', '.join(map(repr, self.targets))} as target"

    @property
    def all(self) -> tuple[str, ...]:
        """Every column, the source first."""
        return (self.source, *self.targets)

    @property
    def numbered(self) -> bool:
        """Whether all are numbers: columns of a file without a header."""
        return all(name.isdecimal() for name in self.all)

    @classmethod
    def parse(cls, mapping: ColumnMapping) -> "Columns":
        """What a user wrote, checked.

        Raises:
            UsageError: A side is unknown, missing or named twice, or a column is not a name.
        """
        for side in mapping:
            if side not in _SIDES:
                raise UsageError(f"columns have no side {side!r}; {did_you_mean(side, _SIDES)}")
        if "source" not in mapping or ("target" in mapping) == ("targets" in mapping):
            raise UsageError(
                f"columns name {', '.join(mapping) or 'nothing'}; they need a source and a target, "
                'for example {"source": "complex", "target": "simple"}.'
            )
        targets = mapping["target"] if "target" in mapping else mapping["targets"]
        several = [targets] if isinstance(targets, str | int) else list(targets)
        if not several:
            raise UsageError("columns name no target; give one, or a list with at least one.")
        return cls(
            source=_column_name(mapping["source"]), targets=tuple(map(_column_name, several))
        )


def _column_name(column: object) -> str:
    if isinstance(column, bool) or not isinstance(column, str | int) or str(column) in ("", "0"):
        raise UsageError(
            f"{column!r} is not a column; give its name, or in a TSV file without a header its "
            "number from 1."
        )
    return str(column)


def find_columns(names: Iterable[str]) -> Columns | None:
    """The first well-known pair of columns among `names`, if any."""
    names = set(names)
    for source, target in WELL_KNOWN:
        if source in names and target in names:
            return Columns(source=source, targets=(target,))
    return None
