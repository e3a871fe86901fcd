"""The columns of a file that are source and targets: as given, or by well-known names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

from warmstart.errors import UsageError, did_you_mean

__all__ = [
    "KINDS",
    "WELL_KNOWN",
    "ColumnMapping",
    "Columns",
    "Kind",
    "KnownColumns",
    "find_columns",
    "find_source",
    "joined_columns",
]

# As users write it: {"source": "complex", "target": "simple"}. Numbers, from 1, are columns of a
# TSV file without a header; a list of targets is several references of one example; "first +
# second" is the texts of two columns, joined by a space. "weight" may name a column of numbers.
ColumnMapping = Mapping[str, str | int | Sequence[str | int]]

# Contents of columns with well-known names. "pairs" may be anything.
Kind = Literal[
    "pairs",
    "summarization",
    "simplification",
    "correction",
    "splitting",
    "fusion",
    "translation",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_SIDES: Final = ("source", "target", "targets", "weight")
_JOIN: Final = " + "


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a file that make an example."""

    source: str
    targets: tuple[str, ...]  # at least one
    weight: str | None = None  # of numbers, see `Example.weight`; None: all 1

    def __str__(self) -> str:
        texts = f"{self.source!r} as the source and {', '.join(map(repr, self.targets))} as target"
        return texts if self.weight is None else f"{texts}, {self.weight!r} as weight"

    @property
    def all(self) -> tuple[str, ...]:
        """Every column, the source first, those that are joined one by one."""
        sides = (self.source, *self.targets)
        texts = tuple(column for side in sides for column in joined_columns(side))
        return texts if self.weight is None else (*texts, self.weight)

    @property
    def numbered(self) -> bool:
        """Whether all are numbers: columns of a file without a header."""
        return all(name.isdecimal() for name in self.all)

    @classmethod
    def parse(cls, mapping: ColumnMapping) -> "Columns":
        """A user's mapping, checked.

        Raises:
            UsageError: if a side is unknown, missing or named twice, or a column is not a name.
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
        weight = mapping.get("weight")
        return cls(
            source=_column_name(mapping["source"]),
            targets=tuple(map(_column_name, several)),
            weight=None if weight is None else _column_name(weight),
        )


@dataclass(frozen=True, slots=True)
class KnownColumns:
    """A pair of column names of published data sets."""

    kind: Kind
    source: str
    target: str

    @property
    def columns(self) -> Columns:
        """The columns to take."""
        return Columns(source=self.source, targets=(self.target,))


# The first pair that occurs in a file is taken, of those that the task can use.
WELL_KNOWN: Final[tuple[KnownColumns, ...]] = (
    KnownColumns("pairs", "source", "target"),
    KnownColumns("pairs", "source", "targets"),
    KnownColumns("pairs", "src", "tgt"),
    KnownColumns("pairs", "src", "trg"),
    KnownColumns("pairs", "source", "reference"),
    KnownColumns("pairs", "source", "references"),
    KnownColumns("simplification", "complex", "simple"),
    KnownColumns("simplification", "normal", "simple"),
    KnownColumns("simplification", "original", "simplified"),
    KnownColumns("simplification", "original", "simplifications"),
    KnownColumns("summarization", "article", "highlights"),
    KnownColumns("summarization", "article", "summary"),
    KnownColumns("summarization", "article", "abstract"),
    KnownColumns("summarization", "document", "summary"),
    KnownColumns("summarization", "dialogue", "summary"),
    KnownColumns("summarization", "text", "summary"),
    KnownColumns("summarization", "text", "headline"),
    KnownColumns("summarization", "body", "subject"),
    KnownColumns("summarization", "email_body", "subject_line"),
    KnownColumns("correction", "incorrect", "correct"),
    KnownColumns("correction", "sentence", "corrections"),
    KnownColumns("splitting", "complex_sentence", "simple_sentence_1 + simple_sentence_2"),
    KnownColumns(
        "fusion",
        "incoherent_first_sentence + incoherent_second_sentence",
        "coherent_first_sentence + coherent_second_sentence",
    ),
    KnownColumns("pairs", "input", "output"),
    KnownColumns("pairs", "input", "target"),
    KnownColumns("pairs", "inputs", "targets"),
    KnownColumns("pairs", "input_text", "target_text"),
)


@lru_cache(maxsize=256)  # called for every row
def joined_columns(column: str) -> tuple[str, ...]:
    """The columns of a user's text: ``"first + second"`` are two."""
    return tuple(name.strip() for name in column.split(_JOIN))


def find_columns(names: Iterable[str], kinds: Sequence[Kind] = KINDS) -> KnownColumns | None:
    """The first well-known pair of columns among `names` that holds one of `kinds`, if any."""
    names = set(names)
    for known in WELL_KNOWN:
        if known.kind in kinds and names.issuperset(known.columns.all):
            return known
    return None


def find_source(names: Iterable[str]) -> str | None:
    """The source of the first well-known pair among `names`, or else a well-known source alone."""
    names = set(names)
    pair = find_columns(names)
    if pair is not None:
        return pair.source
    for known in WELL_KNOWN:
        if names.issuperset(joined_columns(known.source)):
            return known.source
    return None


def _column_name(column: object) -> str:
    if isinstance(column, bool) or not isinstance(column, str | int) or str(column) in ("", "0"):
        raise UsageError(
            f"{column!r} is not a column; give its name, or in a TSV file without a header its "
            "number from 1."
        )
    return str(column)
