"""Data in every form that users give, to examples."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

from warmstart.data.columns import ColumnMapping, Columns
from warmstart.data.compressed import without_compression
from warmstart.data.example import Example
from warmstart.data.folder import FolderFiles, folder_splits, is_saved_dataset
from warmstart.data.hub_datasets import hub_rows, hub_splits, saved_rows, saved_splits
from warmstart.data.mix import interleave
from warmstart.data.origin import Origin
from warmstart.data.read_pairs import Examples, examples_of_rows, read_pairs, read_parallel
from warmstart.data.rows import Row
from warmstart.data.skipped_rows import SkippedRows
from warmstart.data.source import DataSource, HubName, Part, hub_name, is_part, parse_source
from warmstart.data.splits import TRAIN
from warmstart.errors import DataError, UsageError, did_you_mean

__all__ = ["read_examples", "split_sources"]

_ANY: Final = Origin()
logger = logging.getLogger(__name__)


def read_examples(
    data: DataSource,
    columns: ColumnMapping | None = None,
    *,
    origin: Origin = _ANY,
    split: str = TRAIN,
    seed: int = 0,
    skipped: SkippedRows | None = None,
) -> Examples:
    """Examples of one split, read from the start on every iteration.

    Args:
        data: a file of pairs (see `read_pairs`), a list of parallel text files, a folder, a hub
            name such as ``hub:EdinburghNLP/xsum`` or ``hub:wmt/wmt14:de-en``, a mapping with
            ``file`` and settings, or a list of such mappings, which are mixed. With a ``weight``
            for each, weights are shares of the examples, see `interleave`; without, every
            example comes once, file after file.
        columns: columns to take; a mapping's own ``columns`` take precedence. The column of weights
            is read in training data only.
        origin: properties of the task's data.
        split: the split of a folder or a data set.
        seed: of the order of weighted files.
        skipped: counts rows with an empty text, which are skipped; None: they are an error.

    Raises:
        UsageError: if `data` or `columns` are malformed.
        DataError: while reading: if the data is invalid.
    """
    parts = parse_source(data)
    default = None if columns is None else Columns.parse(columns)
    streams = [
        _part_examples(part, _columns_for(split, part.columns or default), origin, split, skipped)
        for part in parts
    ]
    weights = [part.weight for part in parts if part.weight is not None]
    if len(weights) == len(parts) > 1:
        return Examples(lambda: interleave(streams, weights, seed=seed, names=parts))
    return Examples(lambda: chain.from_iterable(streams))


def _columns_for(split: str, columns: Columns | None) -> Columns | None:
    """The columns without weights, which only training needs."""
    return columns if columns is None or split == TRAIN else replace(columns, weight=None)


def split_sources(
    data: DataSource | Mapping[str, DataSource], origin: Origin = _ANY
) -> dict[str, DataSource]:
    """The data of each split: as given, or the splits of a folder or a data set.

    Args:
        data: a mapping of splits to data; or a folder or a hub name, which have splits of their
            own; or any other data, which is for training.
        origin: properties of the task's data.

    Raises:
        DataError: if the folder or data set has no recognizable splits.
    """
    if isinstance(data, Mapping) and not is_part(data):
        return dict(data)
    if isinstance(data, str | Path):
        name = hub_name(data)
        if name is not None:
            return {
                ours: {"file": str(data), "split": theirs}
                for ours, theirs in hub_splits(_with_config(name, origin)).items()
            }
        folder = Path(data)
        if folder.is_dir():
            found = saved_splits(folder) if is_saved_dataset(folder) else None
            return dict.fromkeys(found or folder_splits(folder, origin), data)
    return {TRAIN: data}  # a mapping of splits was returned above


def _part_examples(
    part: Part, columns: Columns | None, origin: Origin, split: str, skipped: SkippedRows | None
) -> Iterable[Example]:
    wanted = part.split or split
    if isinstance(part.file, tuple):
        if columns is not None:
            raise UsageError("Plain text files have no columns; omit the column mapping.")
        _check_languages([Path(path) for path in part.file], origin)
        return read_parallel(part.file, skipped)
    name = hub_name(part.file)
    if name is not None:
        full = _with_config(name, origin)
        if origin.hub is not None and origin.hub.note and origin.hub.name == name.name:
            _warn_once(f"{full}: {origin.hub.note}")
        return _row_examples(
            lambda: hub_rows(full, wanted), f"{full}, split {wanted}", columns, origin, skipped
        )
    path = Path(part.file)
    if path.is_dir() and is_saved_dataset(path):
        return _row_examples(
            lambda: saved_rows(path, wanted), f"{path}, split {wanted}", columns, origin, skipped
        )
    if path.is_dir():
        return _folder_examples(path, wanted, columns, origin, skipped)
    return read_pairs(path, columns, origin, skipped)


def _check_languages(paths: Sequence[Path], origin: Origin) -> None:
    """Rejects parallel files whose names end in the task's languages in the other order.

    Raises:
        UsageError: if they do.
    """
    if origin.languages is None:
        return
    source, target = origin.languages
    endings = [without_compression(path).suffix.lower().lstrip(".") for path in paths]
    if endings[0] == target.lower() and source.lower() in endings[1:]:
        raise UsageError(
            f"{paths[0]} is given as the source, and its name ends in the target language; the "
            f"task is {source} to {target}. Give the files in the other order, or take the task "
            f"translation/{target}-{source}."
        )


def _row_examples(
    rows: Callable[[], Iterator[Row]],
    name: object,
    columns: Columns | None,
    origin: Origin,
    skipped: SkippedRows | None,
) -> Examples:
    return Examples(lambda: examples_of_rows(rows(), name, columns, origin, skipped))


@cache  # one warning for three splits
def _warn_once(note: str) -> None:
    logger.warning(note)


def _with_config(name: HubName, origin: Origin) -> HubName:
    """A hub name with the task's own configuration, if it is the task's data set and has none."""
    hub = origin.hub
    if name.config is None and hub is not None and hub.name == name.name:
        return HubName(name.name, hub.config)
    return name


def _folder_examples(
    folder: Path, split: str, columns: Columns | None, origin: Origin, skipped: SkippedRows | None
) -> Iterable[Example]:
    splits = folder_splits(folder, origin)
    if split not in splits:
        raise DataError(f"{folder} has no split {split!r}; {did_you_mean(split, splits)}")
    found: FolderFiles = splits[split]
    if not found.parallel:
        streams = [read_pairs(path, columns, origin, skipped) for path in found.files]
        return Examples(lambda: chain.from_iterable(streams))
    if columns is not None:
        raise UsageError("Plain text files have no columns; omit the column mapping.")
    return read_parallel(found.files, skipped)
