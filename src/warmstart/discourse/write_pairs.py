"""Fusion and splitting pairs from plain text files of any size, written as JSON Lines."""

import gzip
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, TextIO, TypeAlias

from annotated_types import Ge, Gt, Le

from warmstart.discourse.phenomena import PHENOMENA, RulePair, pairs_of_sentence, pairs_of_two
from warmstart.discourse.plain_text import paragraphs, sentences
from warmstart.errors import OutputError, UsageError
from warmstart.validation import validate
from warmstart.writing import atomic_file

__all__ = ["MadePairs", "PairSettings", "make_pairs", "pairs_of_sentences", "write_pairs"]

Direction: TypeAlias = Literal["fusion", "splitting"]

# Skip dialogue, questions and truncated sentences: quotes span several sentences, and dashes are
# ambiguous.
_NOT_PROSE: Final = re.compile(
    r"[\"“”«»—{}<>|\\!?]|--|\.\.|…|(?:^|\s)['‘]|’(?=\s)|[^.]$|\d\.$|https?:"
)
_REPORT_EVERY: Final = 10_000  # sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSettings:
    """Settings of pairs."""

    direction: Direction
    """Fusion: two sentences to one text; splitting: one sentence to two."""
    min_words: Annotated[int, Ge(1)] = 6
    """Fewest words of a sentence."""
    max_words: Annotated[int, Ge(1)] = 40
    """Most words of a sentence."""
    share: Annotated[float, Gt(0), Le(1)] = 1.0
    """Share of the pairs to keep, drawn by their text and the seed."""
    seed: int = 0
    """Chooses the pairs that are kept, and a rule where several apply to one sentence."""

    def __post_init__(self) -> None:
        validate(self)
        if self.min_words > self.max_words:
            raise UsageError(
                f"min_words is {self.min_words}; it must be at most max_words, which is "
                f"{self.max_words}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePairs:
    """Counts of the pairs that were made.

    Attributes:
        files: number of files read.
        sentences: number of sentences in them.
        pairs: number of pairs written.
        rules: rule -> number of pairs, by phenomenon and then by number.
    """

    files: int
    sentences: int
    pairs: int
    rules: Mapping[str, int] = field(hash=False)

    @property
    def phenomena(self) -> dict[str, int]:
        """Phenomenon -> number of pairs."""
        counts = dict.fromkeys(PHENOMENA, 0)
        for rule, count in self.rules.items():
            counts[rule.partition(": ")[0]] += count
        return {phenomenon: count for phenomenon, count in counts.items() if count}


class _Counts:
    def __init__(self) -> None:
        self.sentences = 0
        self.rules: Counter[str] = Counter()


def make_pairs(files: Sequence[Path], settings: PairSettings) -> Iterator[RulePair]:
    """The pairs of some text files, in their order.

    The pairs of a text depend on the text and the settings alone, not on the rest of the files.

    Raises:
        DataError: if a file is missing, empty or damaged.
    """
    yield from _made(files, settings, _Counts())


def _made(files: Sequence[Path], settings: PairSettings, counts: _Counts) -> Iterator[RulePair]:
    for file in files:
        for paragraph in paragraphs(file):
            text = sentences(paragraph)
            counts.sentences += len(text)
            yield from pairs_of_sentences(text, settings)


def pairs_of_sentences(text: Sequence[str], settings: PairSettings) -> Iterator[RulePair]:
    """The pairs of consecutive sentences; no sentence is in two pairs."""
    before: str | None = None  # the previous sentence, if it is free
    for sentence in text:
        words = sentence.count(" ") + 1
        if _NOT_PROSE.search(sentence) or not settings.min_words <= words <= settings.max_words:
            before = None
            continue
        pair = _chosen(before, sentence, settings)
        before = sentence if pair is None else None
        if pair is not None and _drawn(pair, settings):
            yield pair


def _chosen(before: str | None, sentence: str, settings: PairSettings) -> RulePair | None:
    """One of the pairs that rules make of a sentence, alone or with the previous one."""
    pairs = list(pairs_of_sentence(sentence))
    if settings.direction == "splitting":
        pairs = [pair for pair in pairs if pair.split is not None]
    elif before is not None:
        pairs += pairs_of_two(before, sentence)
    if not pairs:
        return None
    return pairs[_number(settings.seed, "rule", sentence) % len(pairs)]


def _drawn(pair: RulePair, settings: PairSettings) -> bool:
    if settings.share == 1:
        return True
    return _number(settings.seed, "share", pair.fused) < settings.share * 2**64


def _number(seed: int, purpose: str, text: str) -> int:
    """64 random bits that depend only on the arguments."""
    raw = f"{seed} {purpose} {text}".encode()
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")


def write_pairs(
    files: Sequence[Path],
    output: Path,
    settings: PairSettings,
    *,
    report: Callable[[int, int], None] = lambda sentences, pairs: None,
) -> MadePairs:
    """Writes the pairs of some text files as JSON Lines: source, target, rule.

    Args:
        files: plain text, also compressed.
        output: a new file; compressed if its name ends in ``.gz``. It appears when it is complete.
        settings: settings of the pairs.
        report: called from time to time with the numbers of sentences and pairs so far.

    Raises:
        DataError: if a file is missing, empty or damaged.
        OutputError: if the output cannot be written, or is one of the files.
    """
    if output.exists() and any(output.samefile(file) for file in files if file.exists()):
        raise OutputError(f"{output} is one of the texts; give another file to write to.")
    counts = _Counts()
    reported = 0
    with atomic_file(output) as partial, _opened(partial, output.suffix == ".gz") as file:
        for pair in _made(files, settings, counts):
            counts.rules[pair.rule] += 1
            file.write(json.dumps(_row(pair, settings.direction), ensure_ascii=False) + "\n")
            if counts.sentences - reported >= _REPORT_EVERY:
                reported = counts.sentences
                report(counts.sentences, counts.rules.total())
    order = sorted(
        counts.rules.items(),
        key=lambda item: (PHENOMENA.index(item[0].partition(": ")[0]), -item[1], item[0]),
    )
    return MadePairs(
        files=len(files),
        sentences=counts.sentences,
        pairs=counts.rules.total(),
        rules=dict(order),
    )


def _row(pair: RulePair, direction: Direction) -> dict[str, str]:
    if direction == "fusion":
        return {"source": " ".join(pair.parts), "target": pair.fused, "rule": pair.rule}
    assert pair.split is not None
    return {"source": pair.fused, "target": " ".join(pair.split), "rule": pair.rule}


@contextmanager
def _opened(path: Path, compressed: bool) -> Iterator[TextIO]:
    if not compressed:
        with path.open("w", encoding="utf-8") as file:
            yield file
        return
    # Without time and name, so that the same pairs give the same bytes.
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8") as file,
    ):
        yield file
