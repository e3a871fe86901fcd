"""A report on a data set: rows, duplicates, lengths, and overlaps of its splits.

Memory does not grow with the data; counts are cached by the content of the data.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Final

from warmstart.cache import cache_folder, fingerprint
from warmstart.data.example import Example
from warmstart.data.hashes import count_repeats, part_of, partitions
from warmstart.data.lengths import PERCENTILES, LengthCounts, Lengths
from warmstart.data.splits import EVALUATION_SPLITS, TRAIN
from warmstart.data.stored import content_of, hash_blocks, in_blocks
from warmstart.errors import OutputError
from warmstart.writing import atomic_file

if TYPE_CHECKING:
    from warmstart.data.hashes import Hashes
    from warmstart.text.round_trip import RoundTrip

__all__ = ["DataReport", "Overlap", "SharedExample", "SplitReport", "report_data"]

_NAMED: Final = 5  # shared examples that are named, at most
_VERSION: Final = 1  # of the cached counts
_SOURCES, _PAIRS = 0, 1  # columns of hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReport:
    """One split.

    Attributes:
        rows: examples.
        empty: skipped rows with an empty text, if rows were to be skipped.
        duplicates: examples whose source and targets all occurred in an earlier row.
        repeated_sources: examples whose source occurred in an earlier row, duplicates included.
        source: lengths of the sources, in words separated by spaces.
        target: lengths of the first targets, in words.
        source_tokens: lengths of the sources in tokens, with truncation; None before tokenizing.
        target_tokens: lengths of the targets in tokens.
        round_trip: the texts that the tokenizers cannot represent; None without tokenizers.
    """

    rows: int
    empty: int = 0
    duplicates: int
    repeated_sources: int
    source: Lengths
    target: Lengths
    source_tokens: Lengths | None = None
    target_tokens: Lengths | None = None
    round_trip: "RoundTrip | None" = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        sides = ("source", "target", "source_tokens", "target_tokens")
        lengths = {side: getattr(self, side) for side in sides}
        return {
            "rows": self.rows,
            "empty": self.empty,
            "duplicates": self.duplicates,
            "repeated_sources": self.repeated_sources,
            **{side: None if value is None else value.to_json() for side, value in lengths.items()},
            "round_trip": None if self.round_trip is None else self.round_trip.to_json(),
        }


@dataclass(frozen=True, slots=True)
class SharedExample:
    """An evaluation example that is also in the training data."""

    row: int  # in its split, from 1
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """The overlap of an evaluation split with the training split.

    Attributes:
        split: name of the evaluation split.
        rows: number of its examples.
        pairs: number of them in the training data, with the same source and targets.
        sources: number of them whose source is in the training data, pairs included.
        named: the first of them.
    """

    split: str
    rows: int
    pairs: int
    sources: int
    named: tuple[SharedExample, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "split": self.split,
            "rows": self.rows,
            "pairs": self.pairs,
            "sources": self.sources,
            "named": [{"row": shared.row, "source": shared.source} for shared in self.named],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """All splits, and the overlaps of evaluation splits with the training split."""

    splits: Mapping[str, SplitReport] = field(hash=False)
    overlaps: tuple[Overlap, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "splits": {name: split.to_json() for name, split in self.splits.items()},
            "overlaps": [overlap.to_json() for overlap in self.overlaps],
        }

    def __str__(self) -> str:
        """A readable block of lines."""
        lines = [line for name, split in self.splits.items() for line in _split_lines(name, split)]
        for overlap in self.overlaps:
            lines += _overlap_lines(overlap)
        return "\n".join(lines)


def report_data(
    splits: Mapping[str, Sequence[Example]],
    *,
    empty: Mapping[str, int] | None = None,
    tokens: Mapping[str, tuple[Lengths, Lengths]] | None = None,
    round_trips: "Mapping[str, RoundTrip] | None" = None,
) -> DataReport:
    """Reads every split once and reports on it.

    Args:
        splits: by name. "validation" and "test" are compared with "train".
        empty: number of rows of each split that were skipped while reading.
        tokens: lengths in tokens of the sources and targets of each split.
        round_trips: texts of each split that the tokenizers cannot represent.
    """
    empty, tokens, round_trips = empty or {}, tokens or {}, round_trips or {}
    reports = {
        name: replace(
            _with(_counts(examples), len(examples), empty.get(name, 0), tokens.get(name)),
            round_trip=round_trips.get(name),
        )
        for name, examples in splits.items()
    }
    train = splits.get(TRAIN)
    overlaps = [
        _find_overlap(name, train, splits[name])
        for name in EVALUATION_SPLITS
        if train is not None and name in splits
    ]
    return DataReport(splits=reports, overlaps=tuple(overlaps))


def _with(
    counts: dict[str, Any], rows: int, empty: int, tokens: tuple[Lengths, Lengths] | None
) -> SplitReport:
    return SplitReport(
        rows=rows,
        empty=empty,
        duplicates=counts["duplicates"],
        repeated_sources=counts["repeated_sources"],
        source=Lengths.from_json(counts["source"]),
        target=Lengths.from_json(counts["target"]),
        source_tokens=None if tokens is None else tokens[0],
        target_tokens=None if tokens is None else tokens[1],
    )


def _counts(examples: Sequence[Example]) -> dict[str, Any]:
    """Duplicates and lengths; cached."""

    def count() -> dict[str, Any]:
        source, target = LengthCounts(), LengthCounts()
        for block in in_blocks(examples):
            source.add([example.source.count(" ") + 1 for example in block])
            target.add([example.target.count(" ") + 1 for example in block])
        return {
            "duplicates": count_repeats(_column(examples, _PAIRS), len(examples)),
            "repeated_sources": count_repeats(_column(examples, _SOURCES), len(examples)),
            "source": source.lengths().to_json(),
            "target": target.lengths().to_json(),
        }

    return _kept(count, "counts", examples)


def _column(examples: Sequence[Example], index: int) -> "Callable[[], Iterator[Hashes]]":
    return lambda: (block[:, index].copy() for block in hash_blocks(examples))


def _find_overlap(name: str, train: Sequence[Example], evaluation: Sequence[Example]) -> Overlap:
    """The examples of an evaluation split that are in the training split, by hashes of the texts.

    Args:
        name: of the evaluation split.
        train: the training split, of any size.
        evaluation: the evaluation split, of any size.
    """

    def count() -> dict[str, Any]:
        pairs, _ = _shared(train, evaluation, _PAIRS)
        sources, first = _shared(train, evaluation, _SOURCES)
        return {"pairs": pairs, "sources": sources, "first": first}

    counts = _kept(count, "overlap", train, evaluation)
    named = tuple(
        SharedExample(row + 1, shorten(evaluation[row].source, width=80)) for row in counts["first"]
    )
    return Overlap(
        split=name,
        rows=len(evaluation),
        pairs=counts["pairs"],
        sources=counts["sources"],
        named=named,
    )


def _shared(
    train: Sequence[Example], evaluation: Sequence[Example], index: int
) -> tuple[int, list[int]]:
    """Number of hashes of the evaluation split in the training split, and the first rows."""
    import numpy

    # The smaller side in parts that fit into memory; the larger one is streamed past each.
    parts = partitions(len(evaluation))
    shared = 0
    first: list[int] = []
    for part in range(parts):
        wanted = numpy.unique(part_of(_column(evaluation, index)(), part, parts))
        if not len(wanted):
            continue
        found = numpy.zeros(len(wanted), bool)
        for block in _column(train, index)():
            places = wanted.searchsorted(block)
            places[places == len(wanted)] = 0
            found[places[wanted[places] == block]] = True
        common = wanted[found]
        start = 0
        for block in _column(evaluation, index)():
            hits = numpy.flatnonzero(numpy.isin(block, common))
            shared += len(hits)
            first += (start + hits[:_NAMED]).tolist()
            start += len(block)
        first = sorted(first)[:_NAMED]
    return shared, first


def _kept(
    count: Callable[[], dict[str, Any]], what: str, *splits: Sequence[Example]
) -> dict[str, Any]:
    """The result of `count`; for data on disk computed once and cached."""
    if all(isinstance(examples, tuple) for examples in splits):
        return count()
    key = fingerprint(_VERSION, what, *(content_of(examples) for examples in splits))
    note = cache_folder() / "reports" / f"{key}.json"
    try:
        found: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        counts = count()
    with suppress(OSError, OutputError):  # otherwise it is counted again
        note.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(note) as partial:
            partial.write_text(json.dumps(counts), encoding="utf-8")
    return counts


def _split_lines(name: str, split: SplitReport) -> Iterator[str]:
    """One split as text."""
    counts = [f"{split.rows:,} rows"]
    if split.empty:
        counts.append(f"{split.empty:,} empty skipped")
    counts.append(_share(split.duplicates, split.rows, "duplicate"))
    more = split.repeated_sources - split.duplicates
    if more:
        counts.append(_share(more, split.rows, "more with a repeated source"))
    yield f"{name}: {', '.join(counts)}"
    sides = (
        ("source", split.source, split.source_tokens),
        ("target", split.target, split.target_tokens),
    )
    for side, words, tokens in sides:
        lengths, unit = (words, "words") if tokens is None else (tokens, "tokens")
        percentiles = " ".join(f"{lengths.percentiles[percent]:>5,}" for percent in PERCENTILES)
        yield (
            f"  {side} {unit:6} at {'/'.join(map(str, PERCENTILES))} %: {percentiles}, "
            f"longest {lengths.longest:,}, mean {lengths.mean:.1f}"
        )
        if lengths.truncated:
            yield (
                f"  {side}: {_share(lengths.truncated, lengths.count, 'truncated')} to "
                f"{lengths.limit:,} tokens; {100 * lengths.lost_share:.2f} % of its tokens lost"
            )
    if split.round_trip is not None:
        for line in split.round_trip.lines():
            yield f"  {line}"


def _share(count: int, of: int, what: str) -> str:
    return f"{count:,} {what}" + (f" ({100 * count / of:.2f} %)" if count else "")


def _overlap_lines(overlap: Overlap) -> Iterator[str]:
    if not overlap.sources:
        yield f"{overlap.split}: no source of its {overlap.rows:,} rows is in train"
        return
    yield (
        f"{overlap.split}: warning: {_share(overlap.pairs, overlap.rows, 'rows')} are in train; "
        f"{_share(overlap.sources, overlap.rows, 'rows')} have a source that is there:"
    )
    for shared in overlap.named:
        yield f"  row {shared.row:,}: {shared.source}"
    if overlap.sources > len(overlap.named):
        yield f"  and {overlap.sources - len(overlap.named):,} more"
