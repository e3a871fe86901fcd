"""Examples in token ids, each tokenized once, in a mapped Arrow file.

Shape legend: R requested rows.
"""

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warmstart.cache import cache_path, cached_file, fingerprint
from warmstart.data.arrow import ArrowRows, ArrowWriter
from warmstart.data.example import Example
from warmstart.data.lengths import LengthCounts, Lengths
from warmstart.data.stored import IN_MEMORY, StoredExamples, content_of, in_blocks
from warmstart.errors import OutputError

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

    from warmstart.text.tokenizer_pair import Encoded, TokenizerPair

__all__ = ["TokenRows", "tokenize_examples", "tokenizer_fingerprint"]

_KIND: Final = "tokens"
_VERSION: Final = 1  # of the file's layout; part of every key
_AT_ONCE: Final = 1024  # texts tokenized at once
_BLOCK_TOKENS: Final = 2**20  # some 40 MB as Python integers
_WORTH_A_FILE: Final = 2**20  # characters; tokenized in a second or so

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokenizedPair:
    """One example in token ids: the source, and the target up to its end token."""

    source: list[int]
    target: list[int]


class TokenRows(Sequence[TokenizedPair]):
    """Tokenized examples of an Arrow file.

    Attributes:
        source_lengths: lengths of the sources in tokens, before truncation.
        target_lengths: lengths of the targets, end tokens included.

    Args:
        file: its path, or all of its bytes.
    """

    def __init__(self, file: Path | bytes) -> None:
        self._rows = ArrowRows(file)
        self._columns: dict[int, tuple[Any, Any, Any, Any]] = {}
        self.source_lengths = Lengths.from_json(self._rows.meta["source"])
        self.target_lengths = Lengths.from_json(self._rows.meta["target"])

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenRows, (self._rows.file,)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> TokenizedPair:  # type: ignore[override]
        """One example. There are no slices."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no example {index} among {len(self)}")
        block, place = self._rows.locate(index % len(self))
        starts, sources, ends, targets = self._of_block(block)
        source = sources[starts[place] : starts[place + 1]].tolist()
        target = targets[ends[place] : ends[place + 1]].tolist()
        self._rows.touch_rows(1)
        return TokenizedPair(source, target)

    def lengths(self, rows: "NDArray[numpy.int64]") -> "NDArray[numpy.int64]":
        """Tokens of the source and of the target of some examples. Shape: [R] -> [R, 2]"""
        import numpy

        found = numpy.empty((len(rows), 2), numpy.int64)
        blocks = self._rows.starts.searchsorted(rows, side="right") - 1
        for block in numpy.unique(blocks):
            here = blocks == block
            places = rows[here] - self._rows.starts[block]
            starts, _, ends, _ = self._of_block(int(block))
            found[here, 0] = starts[places + 1] - starts[places]
            found[here, 1] = ends[places + 1] - ends[places]
            self._rows.touch_rows(len(places))
        return found

    def _of_block(self, number: int) -> tuple[Any, Any, Any, Any]:
        """Offsets and tokens of the sources, and of the targets, without copies."""
        if number not in self._columns:
            source, target = self._rows.block(number).columns
            self._columns[number] = (
                source.offsets.to_numpy(),
                source.values.to_numpy(),
                target.offsets.to_numpy(),
                target.values.to_numpy(),
            )
        return self._columns[number]


def tokenize_examples(
    tokenizers: "TokenizerPair",
    examples: Sequence[Example],
    max_source_length: int | None,
    max_target_length: int | None,
) -> TokenRows:
    """Token ids of examples: from the cache, or tokenized and cached.

    The key is a digest of the texts, of both tokenizers with their special tokens, and of the
    lengths. A few thousand short texts are not worth a file and stay in memory.

    Args:
        tokenizers: tokenizers of sources and targets.
        examples: at least one; only first targets are used.
        max_source_length: tokens; longer sources are truncated. None: any length.
        max_target_length: the same for targets, with their end token.

    Raises:
        OutputError: if the file cannot be written, and the data is too large for memory.
    """
    limits = (max_source_length, max_target_length)
    characters = _characters(examples)
    if characters < _WORTH_A_FILE:
        return TokenRows(_write(None, tokenizers, examples, limits))
    key = _key(tokenizers, content_of(examples), limits)
    found = _find(key)
    if found is not None:
        return found
    try:
        path = cached_file(
            _KIND, key, lambda partial: _write(partial, tokenizers, examples, limits)
        )
    except OutputError as error:
        if characters >= IN_MEMORY:
            raise
        logger.warning("Token ids are not cached: %s", error)
        return TokenRows(_write(None, tokenizers, examples, limits))
    return TokenRows(path)


def _characters(examples: Sequence[Example]) -> int:
    """Characters of all texts; `IN_MEMORY` for data on disk."""
    if isinstance(examples, StoredExamples):
        return IN_MEMORY
    return sum(len(example.source) + len(example.target) for example in examples)


def _key(tokenizers: "TokenizerPair", content: str, limits: tuple[int | None, int | None]) -> str:
    import tokenizers as library
    import transformers

    return fingerprint(
        [_VERSION, library.__version__, transformers.__version__],
        content,
        tokenizer_fingerprint(tokenizers.source),
        tokenizer_fingerprint(tokenizers.target),
        repr(tokenizers.special),
        list(tokenizers.target_start),
        limits,
    )


def _find(key: str) -> TokenRows | None:
    path = cache_path(_KIND, key)
    if not path.is_file():
        return None
    try:
        found = TokenRows(path)
    except (OSError, ValueError, KeyError):
        path.unlink(missing_ok=True)  # truncated by a crash of the machine
        return None
    logger.info("found %d tokenized examples: %s", len(found), path)
    return found


def tokenizer_fingerprint(tokenizer: "PreTrainedTokenizerBase") -> str:
    """A digest of everything that determines the ids of a text."""
    kind = type(tokenizer)
    names = ("truncation_side", "split_special_tokens")
    settings = [f"{kind.__module__}.{kind.__qualname__}", str(tokenizer.special_tokens_map)]
    settings += [str(getattr(tokenizer, name, None)) for name in names]
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_truncation()  # left by the last call; every call sets it
        backend.no_padding()
        return fingerprint(settings, backend.to_str())
    with tempfile.TemporaryDirectory(prefix="warmstart-tokenizer-") as folder:
        tokenizer.save_pretrained(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return fingerprint(settings, *(path.read_bytes() for path in files))


def _write(
    file: Path | None,
    tokenizers: "TokenizerPair",
    examples: Sequence[Example],
    limits: tuple[int | None, int | None],
) -> bytes:
    """Tokenizes block by block. Returns the file if it is in memory."""
    import pyarrow

    row = pyarrow.list_(pyarrow.int32())
    counts = (LengthCounts(limits[0]), LengthCounts(limits[1]))
    sources: list[list[int]] = []
    targets: list[list[int]] = []
    tokens = 0
    with ArrowWriter(file, pyarrow.schema({"source": row, "target": row})) as writer:
        for block in in_blocks(examples, _AT_ONCE):
            texts = [example.source for example in block]
            sources += _encoded(tokenizers.encode_sources, texts, limits[0], counts[0])
            texts = [example.target for example in block]
            targets += _encoded(tokenizers.encode_targets, texts, limits[1], counts[1])
            tokens += sum(map(len, sources[-len(block) :])) + sum(map(len, targets[-len(block) :]))
            if tokens > _BLOCK_TOKENS:
                writer.write([pyarrow.array(sources, row), pyarrow.array(targets, row)])
                sources, targets, tokens = [], [], 0
        if sources:
            writer.write([pyarrow.array(sources, row), pyarrow.array(targets, row)])
        source, target = (count.lengths().to_json() for count in counts)
        writer.finish({"source": source, "target": target})
    return writer.memory


def _encoded(
    encode: "Callable[[Sequence[str], int | None], Encoded]",
    texts: Sequence[str],
    limit: int | None,
    counts: LengthCounts,
) -> list[list[int]]:
    """Token ids, truncated to the limit; counts the lengths before truncation."""
    rows = encode(texts, None).rows
    lengths = list(map(len, rows))
    counts.add(lengths)
    if limit is not None:
        long = [index for index, length in enumerate(lengths) if length > limit]
        # The tokenizer truncates them, to keep the special tokens at both ends.
        for index, row in zip(
            long, encode([texts[index] for index in long], limit).rows, strict=True
        ):
            rows[index] = row
    return rows
