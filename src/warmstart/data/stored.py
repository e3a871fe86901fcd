"""Examples larger than memory: in a mapped Arrow file, read where needed.

Shape legend: N examples, L examples dropped.
"""

import hashlib
import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

from warmstart.cache import cache_path, cached_file, fingerprint, lock_path
from warmstart.data.arrow import ArrowRows, ArrowWriter
from warmstart.data.example import Example
from warmstart.data.hashes import hashes_of
from warmstart.data.skipped_rows import SkippedRows

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from warmstart.data.hashes import Hashes

__all__ = [
    "IN_MEMORY",
    "StoredExamples",
    "content_of",
    "find_stored",
    "hash_blocks",
    "in_blocks",
    "keep_examples",
    "weights_of",
]

IN_MEMORY: Final = 2**25  # characters; larger data is stored on disk
_BLOCK_ROWS: Final = 2**14
_BLOCK_CHARACTERS: Final = 2**22
_KIND: Final = "examples"
_VERSION: Final = 2  # of the file's layout; part of every key

logger = logging.getLogger(__name__)


class StoredExamples(Sequence[Example]):
    """Examples of an Arrow file in the cache, or a range of them.

    A slice is another such view; nothing is copied.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._open(path)
        self._view(0, len(self._rows), ())

    def _open(self, path: Path) -> None:
        self._path = path
        self._rows = ArrowRows(path)

    def _view(self, first: int, last: int, dropped: "Sequence[int] | NDArray[Any]") -> None:
        import numpy

        self._first, self._last = first, last
        # Dropped rows of the file, in order, between first and last. Shape: [L]
        self._dropped: NDArray[numpy.int64] = numpy.asarray(dropped, numpy.int64)
        # Number of rows kept before each of them.
        self._kept_before = self._dropped - first - numpy.arange(len(self._dropped))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._path, self._first, self._last, self._dropped)

    def __len__(self) -> int:
        return self._last - self._first - len(self._dropped)

    @property
    def empty(self) -> int:
        """Number of rows with an empty text that were skipped while the file was written."""
        return int(self._rows.meta.get("empty", 0))

    @property
    def content(self) -> str:
        """A digest of all the texts."""
        whole = str(self._rows.meta["content"])
        if len(self) == len(self._rows):
            return whole
        return fingerprint(whole, self._first, self._last, self._dropped.tobytes())

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return self._slice(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no example {index} among {len(self)}")
        block, place = self._rows.locate(self._row(index % len(self)))
        sources, targets, weights = self._rows.block(block).columns[:3]
        example = Example(
            sources[place].as_py(), tuple(targets[place].as_py()), weights[place].as_py()
        )
        self._rows.touch_rows(1)
        return example

    def _slice(self, index: slice) -> Sequence[Example]:
        start, stop, step = index.indices(len(self))
        if step != 1 or start >= stop:
            return tuple(self[i] for i in range(start, stop, step))
        first, last = self._row(start), self._row(stop - 1) + 1
        return _reopen(self._path, first, last, self._dropped_between(first, last), self._rows)

    def _row(self, index: int) -> int:
        """The row of the file that holds an example."""
        return self._first + index + int(self._kept_before.searchsorted(index, side="right"))

    def _dropped_between(self, first: int, last: int) -> "NDArray[numpy.int64]":
        start, stop = self._dropped.searchsorted([first, last])
        return self._dropped[start:stop]

    def without(self, indices: "Sequence[int] | NDArray[numpy.int64]") -> "StoredExamples":
        """A view without some of the examples, which takes 16 bytes for each of them.

        Args:
            indices: of the examples to drop, in increasing order.
        """
        import numpy

        wanted = numpy.asarray(indices, numpy.int64)
        rows = self._first + wanted + self._kept_before.searchsorted(wanted, side="right")
        rows = numpy.union1d(rows, self._dropped)
        return _reopen(self._path, self._first, self._last, rows, self._rows)

    def __iter__(self) -> Iterator[Example]:
        for block in self._pieces():
            columns = (column.to_pylist() for column in block.columns[:3])
            for source, targets, weight in zip(*columns, strict=True):
                yield Example(source, tuple(targets), weight)

    def hash_blocks(self) -> "Iterator[Hashes]":
        """Hashes of sources and pairs, block by block, without reading a text. Shape: [N, 2]."""
        import numpy

        for block in self._pieces():
            yield numpy.stack([column.to_numpy() for column in block.columns[3:]], axis=1)

    def weights(self) -> "NDArray[numpy.float64]":
        """Of all examples, without reading a text. Shape: [N]"""
        import numpy

        return numpy.concatenate([block.columns[2].to_numpy() for block in self._pieces()])

    def _pieces(self) -> Iterator[Any]:
        """The blocks, restricted to the rows in view."""
        import numpy
        import pyarrow

        for start, block in self._rows.blocks():
            first, last = max(self._first, start), min(self._last, start + block.num_rows)
            if first >= last:
                continue
            piece = block.slice(first - start, last - first)
            dropped = self._dropped_between(first, last)
            if len(dropped):
                keep = numpy.ones(last - first, bool)
                keep[dropped - first] = False
                piece = piece.filter(pyarrow.array(keep))
            yield piece


def _reopen(
    path: Path,
    first: int,
    last: int,
    dropped: "Sequence[int] | NDArray[Any]",
    rows: ArrowRows | None = None,
) -> StoredExamples:
    view = StoredExamples.__new__(StoredExamples)
    if rows is None:
        view._open(path)
    else:
        view._path, view._rows = path, rows
    view._view(first, last, dropped)
    return view


def keep_examples(
    examples: Iterable[Example],
    *,
    key: str | None = None,
    in_memory: int = IN_MEMORY,
    skipped: SkippedRows | None = None,
) -> Sequence[Example]:
    """The examples as a tuple or, if they are too large, as a file in the cache.

    Args:
        examples: read once.
        key: a digest of all that they depend on, for `find_stored`; None: the file is named by its
            content.
        in_memory: characters to keep in memory, at most.
        skipped: counter of skipped rows, whose final value is stored with the examples.

    Raises:
        OutputError: if the file cannot be written.
    """
    examples = iter(examples)
    short: list[Example] = []
    characters = 0
    for example in examples:
        short.append(example)
        characters += _length(example)
        if characters > in_memory:
            break
    else:
        return tuple(short)
    return _store(chain(short, examples), key, skipped)


def find_stored(key: str) -> StoredExamples | None:
    """The examples stored under a key by `keep_examples`, if the file exists and is complete."""
    path = cache_path(_KIND, fingerprint(_VERSION, key))
    if not path.is_file():
        return None
    try:
        return StoredExamples(path)
    except (OSError, ValueError, KeyError):
        path.unlink(missing_ok=True)  # truncated by a crash of the machine
        return None


def _store(
    examples: Iterable[Example], key: str | None, skipped: SkippedRows | None
) -> StoredExamples:
    # Without a key, the name is a digest of the content, which is only known at the end.
    name = fingerprint(_VERSION, key) if key is not None else f"new-{uuid.uuid4().hex}"
    path = cached_file(_KIND, name, lambda partial: _write(partial, examples, skipped))
    stored = StoredExamples(path)
    if key is None:
        lock_path(path).unlink(missing_ok=True)  # no other process waits for it
        digests = (stored.content, stored._rows.meta["weights"])
        path = path.replace(cache_path(_KIND, fingerprint(_VERSION, *digests)))
        stored = StoredExamples(path)
    logger.info("%d examples are too large for memory and are stored in %s", len(stored), path)
    return stored


def _write(path: Path, examples: Iterable[Example], skipped: SkippedRows | None) -> None:
    import pyarrow

    texts = pyarrow.string()
    schema = pyarrow.schema(
        {
            "source": texts,
            "targets": pyarrow.list_(texts),
            "weight": pyarrow.float64(),
            "source_hash": pyarrow.uint64(),
            "pair_hash": pyarrow.uint64(),
        }
    )
    digest, weights = (hashlib.blake2b(digest_size=16) for _ in range(2))
    with ArrowWriter(path, schema) as writer:
        for block in in_blocks(examples):
            hashes, weights_N = hashes_of(block), weights_of(block)
            digest.update(hashes[:, 1].tobytes())
            weights.update(weights_N.tobytes())
            writer.write(
                [
                    pyarrow.array([example.source for example in block], texts),
                    pyarrow.array([example.targets for example in block], pyarrow.list_(texts)),
                    pyarrow.array(weights_N),
                    pyarrow.array(hashes[:, 0]),
                    pyarrow.array(hashes[:, 1]),
                ]
            )
        empty = 0 if skipped is None else skipped.rows
        digests = {"content": digest.hexdigest(), "weights": weights.hexdigest()}
        writer.finish({**digests, "empty": empty})


def in_blocks(examples: Iterable[Example], rows: int = _BLOCK_ROWS) -> Iterator[list[Example]]:
    """Lists of `rows` examples, or fewer if they are long."""
    block: list[Example] = []
    characters = 0
    for example in examples:
        block.append(example)
        characters += _length(example)
        if len(block) == rows or characters > _BLOCK_CHARACTERS:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _length(example: Example) -> int:
    return len(example.source) + sum(map(len, example.targets))


def hash_blocks(examples: Sequence[Example]) -> "Iterator[Hashes]":
    """Hashes of sources and pairs, block by block. Shape of each: [N, 2]."""
    if isinstance(examples, StoredExamples):
        yield from examples.hash_blocks()
    else:
        for start in range(0, len(examples), _BLOCK_ROWS):
            yield hashes_of(examples[start : start + _BLOCK_ROWS])


def content_of(examples: Sequence[Example]) -> str:
    """A digest of all the texts."""
    if isinstance(examples, StoredExamples):
        return examples.content
    digest = hashlib.blake2b(digest_size=16)
    for block in hash_blocks(examples):
        digest.update(block[:, 1].tobytes())
    return digest.hexdigest()


def weights_of(examples: Sequence[Example]) -> "NDArray[numpy.float64]":
    """The weights of all examples. Shape: [N]"""
    import numpy

    if isinstance(examples, StoredExamples):
        return examples.weights()
    return numpy.array([example.weight for example in examples], numpy.float64)
