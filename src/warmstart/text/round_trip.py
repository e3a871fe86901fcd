"""The texts that tokenizers cannot represent: targets no output can equal, sources read with gaps.

A sample is encoded and decoded as training and generation do it. Loads no torch.
"""

import random
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, get_args

from warmstart.text.detokenize import can_detokenize, detokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from warmstart.text.tokenizer_pair import TokenizerPair

__all__ = ["Cause", "Losses", "Pair", "RoundTrip", "Written", "measure_round_trip"]

# A text has each of the causes that apply.
Cause: TypeAlias = Literal[
    "unknown characters",
    "special tokens",
    "lower case",
    "accents",
    "spaces",
    "spaces at the ends",
    "other characters",
]

_SAMPLED: Final = 2_000  # pairs
_SECONDS: Final = 10.0  # after which the sample ends early
_BLOCK: Final = 100  # texts between two looks at the clock
_CHARACTERS: Final = 4_000  # of each text
_EXAMPLES: Final = 2  # of each cause
_NAMED: Final = 6  # lost words and tokens of each cause
_SHOWN: Final = 24  # characters of an example before and after the first difference


@dataclass(frozen=True, slots=True)
class Written:
    """The part of a text around its first loss, and what decoding makes of it."""

    text: str
    written: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """The texts that one cause changes.

    Attributes:
        cause: of the change.
        texts: number of texts.
        lost: the most frequent words with unknown characters, or deleted special tokens.
        examples: the first texts.
    """

    cause: Cause
    texts: int
    lost: tuple[str, ...]
    examples: tuple[Written, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """The share of texts that survive encoding and decoding.

    Attributes:
        targets: sampled targets.
        survived: targets that are decoded to themselves.
        detokenized: targets that are detokenized to themselves with the help of their sources,
            those that survive included; None where the tokenizer needs no detokenization.
        target_losses: the others by cause, most frequent first.
        sources: sampled sources.
        read: sources without unknown characters, and with all of their accents.
        source_losses: the others by cause.
    """

    targets: int
    survived: int
    detokenized: int | None
    target_losses: tuple[Losses, ...]
    sources: int
    read: int
    source_losses: tuple[Losses, ...]

    @property
    def lossless(self) -> bool:
        """Whether every sampled text survives."""
        return self.survived == self.targets and self.read == self.sources

    @property
    def figures(self) -> dict[str, int]:
        """The counts by name."""
        return {
            "targets": self.targets,
            "targets_survived": self.survived,
            **({} if self.detokenized is None else {"targets_detokenized": self.detokenized}),
            **{f"targets_{_key(loss.cause)}": loss.texts for loss in self.target_losses},
            "sources": self.sources,
            "sources_read": self.read,
            **{f"sources_{_key(loss.cause)}": loss.texts for loss in self.source_losses},
        }

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "targets": self.targets,
            "survived": self.survived,
            "detokenized": self.detokenized,
            "target_losses": [_losses_json(losses) for losses in self.target_losses],
            "sources": self.sources,
            "read": self.read,
            "source_losses": [_losses_json(losses) for losses in self.source_losses],
        }

    def lines(self) -> Iterator[str]:
        """A line for each side, and one for each cause."""
        survived = f"{self.survived:,} of {self.targets:,} sampled targets"
        if self.survived == self.targets:
            yield f"{survived} survive the target tokenizer"
        else:
            helped = ""
            if self.detokenized is not None:
                helped = (
                    f", {self.detokenized:,} ({_percent(self.detokenized, self.targets)}) with "
                    "detokenize auto"
                )
            yield (
                f"warning: only {survived} ({_percent(self.survived, self.targets)}) survive the "
                f"target tokenizer{helped}; no output can equal the others:"
            )
        for losses in self.target_losses:
            yield f"  {_line(losses, self.targets)}"
        if self.read < self.sources:
            lossy = self.sources - self.read
            yield (
                f"warning: {lossy:,} of {self.sources:,} sampled sources "
                f"({_percent(lossy, self.sources)}) lose characters in the source tokenizer:"
            )
        for losses in self.source_losses:
            yield f"  {_line(losses, self.sources)}"


class Pair(Protocol):
    """A source and its target."""

    @property
    def source(self) -> str:
        """A text to read."""

    @property
    def target(self) -> str:
        """A text to write."""


def measure_round_trip(
    tokenizers: "TokenizerPair", pairs: Sequence[Pair], *, seed: int = 0
) -> RoundTrip:
    """Encodes and decodes a sample of texts. Ends after some seconds, whatever the texts.

    Args:
        tokenizers: of the model.
        pairs: any number; of pairs on disk only the sampled ones are read.
        seed: of the sample.
    """
    # Drawn at random, not sorted: whatever the clock leaves out is no special part of the texts.
    chosen = random.Random(seed).sample(range(len(pairs)), min(len(pairs), _SAMPLED))
    targets = _Side(tokenizers, _TARGET_CAUSES, as_targets=True)
    sources = _Side(tokenizers, _SOURCE_CAUSES, as_targets=False)
    restores, detokenized = can_detokenize(tokenizers.target), 0
    end = time.monotonic() + _SECONDS
    for start in range(0, len(chosen), _BLOCK):
        block = [pairs[index] for index in chosen[start : start + _BLOCK]]
        read = [_shortened(pair.source) for pair in block]
        changed = targets.add([_shortened(pair.target) for pair in block])
        sources.add(read)
        if restores:
            detokenized += len(block) - len(changed)
            detokenized += sum(
                detokenize(tokenizers, read[index], [row]) == [text] for index, text, row in changed
            )
        if time.monotonic() > end:
            break
    return RoundTrip(
        targets=targets.seen,
        survived=targets.seen - targets.changed,
        detokenized=detokenized if restores else None,
        target_losses=targets.losses(),
        sources=sources.seen,
        read=sources.seen - sources.changed,
        source_losses=sources.losses(),
    )


_TARGET_CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)
# An encoder loses nothing that matters with its capitals and spaces.
_SOURCE_CAUSES: Final[tuple[Cause, ...]] = ("unknown characters", "accents")


@dataclass(frozen=True, slots=True)
class _Gaps:
    """The parts of a text whose tokens decoding deletes.

    Attributes:
        unknown: texts of unknown tokens.
        special: texts of special tokens.
        rest: the text without them.
    """

    unknown: tuple[str, ...]
    special: tuple[str, ...]
    rest: str

    def of(self, cause: Cause) -> tuple[str, ...]:
        return {"unknown characters": self.unknown, "special tokens": self.special}.get(cause, ())


class _Side:
    """Counts the losses of sources or of targets."""

    def __init__(
        self, tokenizers: "TokenizerPair", causes: Sequence[Cause], *, as_targets: bool
    ) -> None:
        self.pair = tokenizers
        self.as_targets = as_targets
        self.tokenizer = tokenizers.target if as_targets else tokenizers.source
        added = self.tokenizer.added_tokens_decoder
        self.deleted = {
            *self.tokenizer.all_special_ids,
            *(token for token, text in added.items() if text.special),
        }
        self.seen = self.changed = 0
        self.counts: Counter[Cause] = Counter()
        self.lost: dict[Cause, Counter[str]] = {cause: Counter() for cause in causes}
        self.examples: dict[Cause, list[Written]] = {cause: [] for cause in causes}

    def add(self, texts: list[str]) -> list[tuple[int, str, list[int]]]:
        """Encodes, decodes and compares some texts.

        Returns:
            The index, the text and the tokens of those that change.
        """
        self.seen += len(texts)
        changed = []
        for index, (text, row, written, gaps) in enumerate(self._decoded(texts)):
            found = [cause for cause in _causes(text, written, gaps) if cause in self.lost]
            if found:
                self.changed += 1
                changed.append((index, text, row))
            self.counts.update(found)
            for cause in found:
                self.lost[cause].update([*dict.fromkeys(gaps.of(cause))])
                if len(self.examples[cause]) < _EXAMPLES:
                    self.examples[cause].append(_excerpt(text, written))
        return changed

    def losses(self) -> tuple[Losses, ...]:
        """The changes by cause, most frequent first."""
        return tuple(
            Losses(
                cause=cause,
                texts=count,
                lost=tuple(word for word, _ in self.lost[cause].most_common(_NAMED)),
                examples=tuple(self.examples[cause]),
            )
            for cause, count in self.counts.most_common()
        )

    def _decoded(self, texts: list[str]) -> Iterator[tuple[str, list[int], str, _Gaps]]:
        """Each text, its tokens, the decoded text, and the gaps."""
        if self.as_targets:
            rows = self.pair.encode_targets(texts, None).rows
            written = self.pair.decode(rows)
            first = len(self.pair.target_start)
            rows = [row[first:-1] for row in rows]  # neither start nor end is of the text
        else:
            rows = _plain_rows(self.tokenizer, texts)
            written = self.tokenizer.batch_decode(rows, skip_special_tokens=True)
        for text, row, decoded in zip(texts, rows, written, strict=True):
            yield text, row, decoded, self._gaps(text, row)

    def _gaps(self, text: str, row: list[int]) -> _Gaps:
        if self.deleted.isdisjoint(row):
            return _Gaps((), (), text)
        unknown, special = [], []
        rest, end = [], 0
        for token, (start, stop) in zip(row, self._spans(text, row), strict=True):
            if token not in self.deleted:
                continue
            named = str(self.tokenizer.convert_ids_to_tokens(token))
            # GPT-2's unknown token is its end of text: only the text shows which it is.
            is_special = token != self.tokenizer.unk_token_id or named in text[start:stop]
            if is_special:
                special.append(named)
            else:
                unknown.append(_short(text[start:stop].strip()) or named)
            rest.append(text[end:start])
            end = max(stop, end)
        rest.append(text[end:])
        return _Gaps(tuple(unknown), tuple(special), " ".join(rest))

    def _spans(self, text: str, row: list[int]) -> list[tuple[int, int]]:
        """The characters of each token; empty spans where the tokenizer does not know."""
        if self.tokenizer.is_fast:
            encoding = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
            if encoding.ids == row:
                return list(encoding.offsets)
        return [(0, 0)] * len(row)


def _plain_rows(tokenizer: "PreTrainedTokenizerBase", texts: list[str]) -> list[list[int]]:
    encoded = tokenizer(texts, add_special_tokens=False, verbose=False)
    return [list(row) for row in encoded["input_ids"]]


def _causes(text: str, written: str, gaps: _Gaps) -> Iterable[Cause]:
    """The reasons that a decoded text differs from its text; none if it does not."""
    if text == written:
        return
    rest = text
    if gaps.unknown:
        yield "unknown characters"
    if gaps.special:
        yield "special tokens"
    if gaps.unknown or gaps.special:  # deleting them changes the spaces around
        rest, written = " ".join(gaps.rest.split()), " ".join(written.split())
    if rest.strip() == written.strip():
        if rest != written and rest == text:
            yield "spaces at the ends"
        return
    lowered = _capitals(rest) > _capitals(written)
    if lowered:
        yield "lower case"
    unaccented = _marks(rest) > _marks(written)
    if unaccented:
        yield "accents"
    spaced, other = _folded(rest), _folded(written)
    if "".join(spaced.split()) != "".join(other.split()):
        if not (gaps.unknown or gaps.special):
            yield "other characters"
    elif spaced.strip() != other.strip():
        yield "spaces"
    elif not (lowered or unaccented):
        yield "other characters"  # such as letters and accents that become one character


def _capitals(text: str) -> int:
    return sum(character.isupper() for character in text)


def _marks(text: str) -> int:
    return sum(unicodedata.combining(character) > 0 for character in _apart(text))


def _folded(text: str) -> str:
    """A text without case and accents."""
    return "".join(
        character for character in _apart(text.lower()) if not unicodedata.combining(character)
    )


def _apart(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def _shortened(text: str) -> str:
    """The beginning of a long text, up to a space."""
    if len(text) <= _CHARACTERS:
        return text
    return text[:_CHARACTERS].rpartition(" ")[0] or text[:_CHARACTERS]


def _short(word: str) -> str:
    return word if len(word) <= _SHOWN else f"{word[:_SHOWN]}..."


def _excerpt(text: str, written: str) -> Written:
    """The two around their first difference."""
    same = next(
        (index for index, (a, b) in enumerate(zip(text, written, strict=False)) if a != b),
        min(len(text), len(written)),
    )
    start = max(same - _SHOWN, 0)

    def cut(whole: str) -> str:
        stop = same + _SHOWN
        return ("..." if start else "") + whole[start:stop] + ("..." if stop < len(whole) else "")

    return Written(cut(text), cut(written))


def _line(losses: Losses, of: int) -> str:
    named = f" ({' '.join(losses.lost)})" if losses.lost else ""
    first = losses.examples[0]
    return (
        f"{losses.cause}: {losses.texts:,} ({_percent(losses.texts, of)}){named}; "
        f"{first.text!r} is written as {first.written!r}"
    )


def _losses_json(losses: Losses) -> dict[str, Any]:
    return {
        "cause": losses.cause,
        "texts": losses.texts,
        "lost": list(losses.lost),
        "examples": [
            {"text": example.text, "written": example.written} for example in losses.examples
        ],
    }


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %"


def _key(cause: Cause) -> str:
    return cause.replace(" ", "_")
