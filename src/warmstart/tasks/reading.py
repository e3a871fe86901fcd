"""The examples of one split of a task: read once, and cached on disk if they are large."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warmstart.cache import file_digest, fingerprint
from warmstart.data.columns import ColumnMapping
from warmstart.data.example import Example
from warmstart.data.lengths import Lengths
from warmstart.data.mix import draw
from warmstart.data.read import split_sources
from warmstart.data.report import DataReport, report_data
from warmstart.data.skipped_rows import SkippedRows
from warmstart.data.source import DataSource, Part, hub_name, parse_source
from warmstart.data.splits import TRAIN
from warmstart.data.stored import find_stored, keep_examples
from warmstart.errors import DataError
from warmstart.tasks.task import Task, TaskDefinition

if TYPE_CHECKING:
    from warmstart.text.round_trip import RoundTrip

__all__ = ["local_files", "read_split", "read_splits", "report_task"]

# Files of a smaller total size are read every time: it takes a second or so.
_WORTH_A_DIGEST: Final = 2**24  # bytes, compressed or not

logger = logging.getLogger(__name__)


def read_split(
    definition: TaskDefinition,
    data: DataSource,
    columns: ColumnMapping | None,
    *,
    split: str,
    fraction: float,
    limit: int | None,
    seed: int,
    skipped: SkippedRows | None = None,
) -> Sequence[Example]:
    """Reads data up to its limit, or finds it in the cache.

    Large data is cached by the bytes of its files, the settings, and the code that reads it.

    Args:
        definition: the task.
        data: data of the split.
        columns: columns to take.
        split: name of the split.
        fraction: part of the examples to draw.
        limit: number of drawn examples to take, from the start; None: all.
        seed: of the draws, and of the order of mixed files.
        skipped: counts rows with an empty text, which are skipped; None: they are an error.

    Raises:
        DataError: if the data is invalid.
        OutputError: if the data is too large for memory, and the cache cannot be written.
    """
    parts = parse_source(data)
    skip = skipped is not None
    settings = [definition.name, repr(columns), split, fraction, limit, seed, skip]
    key = _key(definition, parts, settings)
    found = None if key is None else find_stored(key)
    if found is not None:
        logger.info("%s: found %d cached examples", split, len(found))
        if skipped is not None:
            skipped.rows = found.empty
        return found
    examples = definition.read(data, columns, split=split, seed=seed, skipped=skipped)
    drawn: Iterable[Example] = draw(examples, fraction, seed=seed)
    read = keep_examples(islice(drawn, limit), key=key, skipped=skipped)
    if skipped is not None and skipped.rows:
        where = f"{skipped.rows} with an empty text, the first at {skipped.first}"
        if not read:
            raise DataError(f"every row for {split} is empty: {where}; check the columns taken.")
        logger.warning("%s: skipped %s", split, where)
    return read


def read_splits(
    definition: TaskDefinition, train: Sequence[Path], evaluation: Mapping[str, Path]
) -> dict[str, tuple[Sequence[Example], int]]:
    """Reads all of the data, without held-out examples, draws or limits.

    Args:
        definition: the task.
        train: files to train on, one after the other; or one folder, which has its own splits.
        evaluation: by name, "validation" and "test".

    Returns:
        The examples of each split, and the number of rows skipped because a text is empty.

    Raises:
        DataError: if the data is invalid.
    """
    sources: dict[str, DataSource] = {TRAIN: [{"file": str(path)} for path in train]}
    if len(train) == 1:
        sources = split_sources(train[0], definition.origin)
    sources |= evaluation
    read = {}
    for split, source in sources.items():
        skipped = SkippedRows()
        examples = read_split(
            definition,
            source,
            None,
            split=split,
            fraction=1,
            limit=None,
            seed=0,
            skipped=skipped,
        )
        read[split] = (examples, skipped.rows)
    return read


def report_task(
    task: Task,
    tokens: Mapping[str, tuple[Lengths, Lengths]] | None = None,
    round_trips: "Mapping[str, RoundTrip] | None" = None,
) -> DataReport:
    """A report on a task's data; see `report_data`.

    Args:
        task: the task, with data.
        tokens: lengths in tokens of the sources and targets of each split, if known.
        round_trips: texts of each split that the tokenizers cannot represent, if known.
    """
    return report_data(
        {name: split.examples for name, split in task.splits.items()},
        empty={name: split.empty for name, split in task.splits.items()},
        tokens=tokens,
        round_trips=round_trips,
    )


def _key(definition: TaskDefinition, parts: Sequence[Part], settings: list[object]) -> str | None:
    """A digest of all that the examples depend on; None: unknown, or not worth the time."""
    files = [local_files(part) for part in parts]
    if any(found is None for found in files):
        return None
    paths = [path for found in files for path in found or ()]
    if sum(path.stat().st_size for path in paths) < _WORTH_A_DIGEST:
        return None
    prepare = definition.prepare
    if prepare is not None and not prepare.__module__.startswith("warmstart."):
        return None  # a user's own function may change unnoticed
    own = [[part.weight, repr(part.columns), part.split] for part in parts]
    named = [[path.name, file_digest(path)] for path in paths]
    return fingerprint(_code(), settings, repr(definition.origin), own, named)


def local_files(part: Part) -> list[Path] | None:
    """The files of a part, a folder's in order; None if some are missing or on the hub."""
    several = part.file if isinstance(part.file, tuple) else (part.file,)
    if any(hub_name(file) is not None for file in several):
        return None
    found: list[Path] = []
    for path in map(Path, several):
        found += sorted(path.rglob("*")) if path.is_dir() else [path]
    files = [path for path in found if not path.is_dir()]
    return files if all(path.is_file() for path in files) else None


@cache
def _code() -> str:
    """A digest of the code that reads data, so that its new version ignores old files."""
    package = Path(__file__).parents[1]
    files = [path for room in ("data", "tasks") for path in (package / room).rglob("*.py")]
    return fingerprint(*(path.read_bytes() for path in sorted(files)))
