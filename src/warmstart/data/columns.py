"""The columns of a file that are source and targets: as given, or by well-known names."""

import re
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
    "fill_template",
    "find_columns",
    "find_source",
    "is_template",
    "joined_columns",
    "template_columns",
]

# As users write it: {"source": "complex", "target": "simple"}. Numbers, from 1, are columns of a
# TSV file without a header; a list of targets is several references of one example; "first +
# second" is the texts of two columns, joined by a space; "summarize: {document}" is a template.
# "weight" may name a column of numbers.
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
_FIELD: Final = re.compile(r"\{([^{}]+)\}")  # of a template


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
    references: tuple[str, ...] = ()  # further targets, such as summary2 after summary1

    @property
    def columns(self) -> Columns:
        """The columns to take."""
        return Columns(source=self.source, targets=(self.target, *self.references))


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
    KnownColumns("simplification", "complex", "simplified"),
    KnownColumns("simplification", "normal_sentence", "simple_sentence"),
    KnownColumns("simplification", "input_sentence", "simplified"),
    KnownColumns("simplification", "sentence", "simplified"),
    KnownColumns("simplification", "sentence", "simplification"),
    KnownColumns("simplification", "text", "simplified"),
    KnownColumns("summarization", "article", "highlights"),
    KnownColumns("summarization", "article", "summary"),
    KnownColumns("summarization", "article", "abstract"),
    KnownColumns("summarization", "document", "summary"),
    KnownColumns("summarization", "dialogue", "summary"),
    KnownColumns("summarization", "text", "summary"),
    KnownColumns("summarization", "text", "headline"),
    KnownColumns("summarization", "text", "abstract"),
    KnownColumns("summarization", "text", "title"),
    KnownColumns("summarization", "document", "abstract"),
    KnownColumns("summarization", "article", "headline"),
    KnownColumns("summarization", "article", "title"),
    KnownColumns("summarization", "content", "summary"),
    KnownColumns("summarization", "content", "title"),
    KnownColumns("summarization", "report", "summary"),
    KnownColumns("summarization", "dialog", "summary"),
    KnownColumns("summarization", "conversation", "summary"),
    KnownColumns("summarization", "body", "title"),
    KnownColumns("summarization", "body", "subject"),
    KnownColumns("summarization", "email_body", "subject_line"),
    KnownColumns("correction", "incorrect", "correct"),
    KnownColumns("correction", "sentence", "corrections"),
    KnownColumns("correction", "sentence", "correction"),
    KnownColumns("correction", "sentence", "corrected"),
    KnownColumns("correction", "original", "corrected"),
    KnownColumns("correction", "original", "correction"),
    KnownColumns("correction", "source", "corrected"),
    KnownColumns("correction", "input", "corrected"),
    KnownColumns("correction", "text", "corrected"),
    KnownColumns("correction", "wrong", "correct"),
    KnownColumns("splitting", "complex_sentence", "simple_sentence_1 + simple_sentence_2"),
    KnownColumns("simplification", "complex_sentence", "simple_sentence"),
    KnownColumns(
        "fusion",
        "incoherent_first_sentence + incoherent_second_sentence",
        "coherent_first_sentence + coherent_second_sentence",
    ),
    KnownColumns("pairs", "instruction + input", "output"),
    KnownColumns("pairs", "instruction", "output"),
    KnownColumns("pairs", "instruction", "response"),
    KnownColumns("pairs", "prompt", "completion"),
    KnownColumns("pairs", "prompt", "response"),
    KnownColumns("pairs", "input", "output"),
    KnownColumns("pairs", "input", "target"),
    KnownColumns("pairs", "inputs", "targets"),
    KnownColumns("pairs", "input_text", "target_text"),
    KnownColumns("pairs", "input_text", "output_text"),
    KnownColumns("pairs", "source_text", "target_text"),
    KnownColumns("pairs", "source_sentence", "target_sentence"),
    KnownColumns("pairs", "input_sentence", "output_sentence"),
    KnownColumns("pairs", "sentence", "paraphrase"),
    KnownColumns("pairs", "text", "paraphrase"),
    KnownColumns("pairs", "original", "paraphrase"),
    KnownColumns("pairs", "question", "answer"),
    KnownColumns("pairs", "question", "answers"),
    KnownColumns("pairs", "query", "response"),
)

# Columns that are numbered as the parts of one target, not as several references.
_PARTS: Final = frozenset(
    part for known in WELL_KNOWN if _JOIN in known.target for part in known.target.split(_JOIN)
)


@lru_cache(maxsize=256)  # called for every row
def joined_columns(column: str) -> tuple[str, ...]:
    """The columns of a user's text, two in ``"first + second"`` and in ``"{first}: {second}"``."""
    if is_template(column):
        return template_columns(column)
    return tuple(name.strip() for name in column.split(_JOIN))


def is_template(column: str) -> bool:
    """Whether a user's text is a template, such as ``"summarize: {document}"``."""
    return _FIELD.search(column) is not None


def template_columns(template: str) -> tuple[str, ...]:
    """The columns in the braces of a template."""
    return tuple(match[1] for match in _FIELD.finditer(template))


def fill_template(template: str, texts: Mapping[str, str]) -> str:
    """A template with the text of each of its columns."""
    return _FIELD.sub(lambda match: texts[match[1]], template)


def find_columns(names: Iterable[str], kinds: Sequence[Kind] = KINDS) -> KnownColumns | None:
    """The first well-known pair of columns among `names` that holds one of `kinds`, if any.

    Names are compared without case, quotes, and the difference of space, hyphen and underscore. A
    target may be numbered, as in ``summary1`` and ``summary2``.
    """
    by_folded = _by_folded(names)
    for find_targets in (_one_target, _numbered_targets):
        for known in WELL_KNOWN:
            source = _column_among(known.source, by_folded)
            targets = find_targets(known.target, by_folded)
            if known.kind in kinds and source is not None and targets:
                return KnownColumns(known.kind, source, targets[0], targets[1:])
    return None


def _by_folded(names: Iterable[str]) -> dict[str, str]:
    """The names by their folded form; of two with the same form, the one that equals it."""
    names = list(names)
    return {_fold(name): name for name in names} | {name: name for name in names}


def _fold(name: str) -> str:
    return re.sub(r"[ -]", "_", name.strip(" \"'").lower())


def _column_among(side: str, by_folded: Mapping[str, str]) -> str | None:
    """The actual names of a well-known side, or None if one is missing."""
    parts = joined_columns(side)
    return _JOIN.join(by_folded[part] for part in parts) if by_folded.keys() >= {*parts} else None


def _one_target(target: str, by_folded: Mapping[str, str]) -> tuple[str, ...]:
    column = _column_among(target, by_folded)
    return () if column is None else (column,)


def _numbered_targets(target: str, by_folded: Mapping[str, str]) -> tuple[str, ...]:
    """The columns of two references or more: ``target1`` or ``target_1``, and so on."""
    pattern = re.compile(rf"{re.escape(target)}_?(\d+)")
    numbers = {
        name: int(match[1])
        for folded, name in by_folded.items()
        if folded not in _PARTS and (match := pattern.fullmatch(folded))
    }
    ordered = sorted(numbers, key=lambda name: numbers[name])
    return tuple(ordered) if len(ordered) > 1 else ()


def find_source(names: Iterable[str]) -> str | None:
    """The source of the first well-known pair among `names`, or else a well-known source alone."""
    names = list(names)
    pair = find_columns(names)
    if pair is not None:
        return pair.source
    by_folded = _by_folded(names)
    sources = (_column_among(known.source, by_folded) for known in WELL_KNOWN)
    return next((source for source in sources if source is not None), None)


def _column_name(column: object) -> str:
    if isinstance(column, bool) or not isinstance(column, str | int) or str(column) in ("", "0"):
        raise UsageError(
            f"{column!r} is not a column; give its name, or in a TSV file without a header its "
            "number from 1."
        )
    return str(column)
