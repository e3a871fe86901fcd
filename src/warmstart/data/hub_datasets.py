"""Data sets of the hub, and folders written by `datasets`."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warmstart.data.columnar import batch_rows
from warmstart.data.rows import Row
from warmstart.data.source import HubName
from warmstart.data.splits import SplitName
from warmstart.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import datasets

__all__ = ["hub_rows", "hub_splits", "saved_rows", "saved_splits"]

logger = logging.getLogger(__name__)
_ROWS: Final = 1024  # converted to Python values at once
# Branch of the hub's own conversion of data sets that are published as a program.
_CONVERTED: Final = "refs/convert/parquet"
_SPLIT_NAMES: Final[Mapping[SplitName, tuple[str, ...]]] = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


def hub_rows(name: HubName, split: str) -> Iterator[Row]:
    """Rows of a split, downloaded once and then mapped from the disk.

    Args:
        name: the data set.
        split: its own name of the split, or ours.

    Raises:
        DataError: if it cannot be fetched, or has no such configuration or split, or no rows.
    """
    loaded = _load_hub(name)
    yield from _rows(_split(loaded, split, str(name)), f"{name}, split {split}")


def hub_splits(name: HubName) -> dict[str, str]:
    """The splits of a data set: our names to its own.

    Raises:
        DataError: as `hub_rows`.
    """
    return _our_splits(_load_hub(name), str(name))


def saved_rows(folder: Path, split: str) -> Iterator[Row]:
    """Rows of a split that `datasets` saved by ``save_to_disk``.

    Raises:
        DataError: if the folder is damaged, or has no such split, or no rows.
    """
    loaded = _load_saved(folder)
    yield from _rows(_split(loaded, split, str(folder)), f"{folder}, split {split}")


def saved_splits(folder: Path) -> dict[str, str]:
    """The splits of such a folder, our names to its own; an unnamed one is for training.

    Raises:
        DataError: if the folder is damaged.
    """
    return _our_splits(_load_saved(folder), str(folder))


@lru_cache(maxsize=4)  # each look-up asks the hub for a newer version
def _load_hub(name: HubName) -> Any:
    import datasets

    with _hub_problems(name):
        try:
            return datasets.load_dataset(name.name, name.config)
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error):
                raise
        logger.info("%s is published as a program; taking the hub's own conversion", name)
        return datasets.load_dataset(
            name.name, data_dir=name.config or "default", revision=_CONVERTED
        )


def _load_saved(folder: Path) -> Any:
    import datasets

    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:  # of json, Arrow or datasets, for a damaged file
        raise DataError(
            f"{folder} is not a complete data set of datasets.save_to_disk ({_first_line(error)}); "
            "write it again."
        ) from None


def _split(loaded: Any, split: str, name: str) -> "datasets.Dataset":
    import datasets

    if isinstance(loaded, datasets.Dataset):
        return loaded
    ours = _our_splits(loaded, name)
    theirs = split if split in loaded else ours.get(split)
    if theirs is None:
        raise DataError(f"{name} has no split {split!r}; {did_you_mean(split, loaded)}")
    found: datasets.Dataset = loaded[theirs]
    return found


def _our_splits(loaded: Any, name: str) -> dict[str, str]:
    import datasets

    if isinstance(loaded, datasets.Dataset):
        return {"train": "train"}
    found: dict[str, str] = {
        split: next(theirs for theirs in names if theirs in loaded)
        for split, names in _SPLIT_NAMES.items()
        if not {*names}.isdisjoint(loaded)
    }
    if not found:
        raise DataError(
            f"{name} has the splits {', '.join(map(str, loaded))}; say which to take, for example "
            f"{{train: {{file: {name}, split: {next(iter(loaded), 'NAME')}}}}}."
        )
    return found


def _rows(dataset: "datasets.Dataset", name: str) -> Iterator[Row]:
    batches = dataset.with_format("arrow").iter(_ROWS)
    yield from batch_rows((piece for table in batches for piece in table.to_batches()), name)


@contextmanager
def _hub_problems(name: HubName) -> Iterator[None]:
    """Turns errors of the hub into sentences that name the remedy."""
    try:
        yield
    except ValueError as error:  # datasets' own, of a configuration or a split
        raise DataError(f"{name} cannot be loaded: {_first_line(error)}") from None
    except Exception as error:  # the hub client, the network, the disk: each has its own kinds
        from datasets import config

        reason = f"{type(error).__name__}: {_first_line(error)}"
        if config.HF_HUB_OFFLINE:
            remedy = (
                "HF_HUB_OFFLINE is set, and the cache has no copy, "
                f"{os.environ.get('HF_HOME', '~/.cache/huggingface')}; unset it once to download "
                "the data, or set HF_HOME to where it is"
            )
        else:
            remedy = (
                "check its name and the network (HF_ENDPOINT for a mirror, HF_TOKEN for data that "
                "needs a login)"
            )
        raise DataError(
            f"{name} cannot be fetched from the hub ({reason}); {remedy}, or give a local copy: "
            "data=FOLDER with its train, validation and test files (Parquet, JSON Lines, CSV or "
            "TSV)."
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
