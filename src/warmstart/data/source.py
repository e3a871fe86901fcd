"""Data as users give it: files, folders, hub names, or a mixture of several."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from warmstart.data.columns import ColumnMapping, Columns
from warmstart.errors import UsageError, did_you_mean

__all__ = [
    "HUB",
    "DataFile",
    "DataFiles",
    "DataSource",
    "HubName",
    "Part",
    "hub_name",
    "is_part",
    "parse_source",
]

HUB: Final = "hub:"  # before the name of a data set

# A path of a file or folder, or a name such as "hub:EdinburghNLP/xsum"; or the paths of parallel
# text files, the source's and then one or more of targets.
DataFile = str | Path | Sequence[str | Path]
# The same, or a mapping with settings: {"file": "a.tsv", "weight": 2}; or a list of these.
DataSource = DataFile | Mapping[str, Any] | Sequence[Mapping[str, Any]]
# Data to train on, of which a validation split is held out, or data for each split.
DataFiles = DataSource | Mapping[str, DataSource]

_KEYS: Final = ("file", "weight", "columns", "split")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the files of a split.

    Attributes:
        file: a file, a folder or a hub name; or several parallel text files.
        weight: its share of the examples, in relation to the other weights; None: see `mix`.
        columns: columns to take; None: those of the task, or well-known ones.
        split: the split of a folder or a data set, by its own name; None: the one of the same name.
    """

    file: str | Path | tuple[str | Path, ...]
    weight: float | None = None
    columns: Columns | None = None
    split: str | None = None

    def __str__(self) -> str:
        return " and ".join(map(str, self.file)) if isinstance(self.file, tuple) else str(self.file)


@dataclass(frozen=True, slots=True)
class HubName:
    """A data set on the hub, written as ``hub:NAME`` or ``hub:NAME:CONFIG``."""

    name: str
    config: str | None

    def __str__(self) -> str:
        return f"{HUB}{self.name}" + (f":{self.config}" if self.config is not None else "")


def hub_name(file: object) -> HubName | None:
    """The data set of a hub name; None for other paths.

    Raises:
        UsageError: if the name is malformed.
    """
    if not isinstance(file, str | Path) or not str(file).startswith(HUB):
        return None
    name, *config = str(file).removeprefix(HUB).split(":")
    if not name or len(config) > 1 or name.count("/") > 1 or config == [""]:
        raise UsageError(
            f"{file} names no data set; give hub:NAME or hub:NAME:CONFIG, for example "
            "hub:abisee/cnn_dailymail:3.0.0."
        )
    return HubName(name, config[0] if config else None)


def is_part(value: object) -> bool:
    """Whether a mapping is one file with its settings, rather than a file for each split."""
    return isinstance(value, Mapping) and not {*value}.isdisjoint(_KEYS)


def parse_source(value: object) -> tuple[Part, ...]:
    """The parts of a split, one or more. Reads no file.

    Args:
        value: a path, a hub name, a list of paths of parallel text files, a mapping with the key
            ``file`` and settings, or a list of such mappings, which are mixed.

    Raises:
        UsageError: if it is something else, or a setting is invalid.
    """
    if isinstance(value, str | Path):
        return (Part(file=_file(value)),)
    if isinstance(value, Mapping):
        return (_part(value),)
    if not isinstance(value, Sequence) or not value:
        raise UsageError(_expected(value))
    if all(isinstance(path, str | Path) for path in value):
        return (Part(file=_files(value)),)
    if not all(isinstance(part, Mapping) for part in value):
        raise UsageError(_expected(value))
    parts = tuple(map(_part, value))
    unweighted = [part for part in parts if part.weight is None]
    if unweighted and len(unweighted) < len(parts):
        raise UsageError(
            f"{unweighted[0]} has no weight and others have; give every file a weight, or none to "
            "take each example once."
        )
    return parts


def _expected(value: object) -> str:
    return (
        f"{value!r} is not data; give a path, a list of paths of parallel text files, or a list of "
        "files to mix, such as [{file: a.tsv, weight: 2}, {file: b.jsonl, weight: 1}]."
    )


def _part(settings: Mapping[str, Any]) -> Part:
    for key in settings:
        if key not in _KEYS:
            raise UsageError(f"data has no setting {key!r}; {did_you_mean(str(key), _KEYS)}")
    if "file" not in settings:
        raise UsageError(f"data names no file, only {', '.join(settings)}; add file: PATH.")
    columns: ColumnMapping | None = settings.get("columns")
    if columns is not None and not isinstance(columns, Mapping):
        raise UsageError(f"columns are {columns!r}; give {{source: COLUMN, target: COLUMN}}.")
    split = settings.get("split")
    if split is not None and not isinstance(split, str):
        raise UsageError(f"split is {split!r}; give the name that the data set has for it.")
    return Part(
        file=_file(settings["file"]),
        weight=_weight(settings.get("weight"), settings["file"]),
        columns=None if columns is None else Columns.parse(columns),
        split=split,
    )


def _file(value: object) -> str | Path | tuple[str | Path, ...]:
    if isinstance(value, str | Path) and str(value):
        hub_name(value)  # rejects malformed names
        return value
    if isinstance(value, Sequence) and value and not isinstance(value, str):
        return _files(value)
    raise UsageError(_expected(value))


def _files(values: Iterable[object]) -> tuple[str | Path, ...]:
    paths = tuple(path for path in values if isinstance(path, str | Path))
    if len(paths) < 2 or any(str(path).startswith(HUB) for path in paths):
        raise UsageError(
            f"{', '.join(map(str, paths)) or 'a list'} is given as parallel text, which needs two "
            "text files or more, the source's and the target's; to take several files of pairs, "
            "give [{file: A}, {file: B}]."
        )
    return paths


def _weight(value: object, file: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise UsageError(
            f"the weight of {file} is {value!r}; it must be a number above 0, such as 2: twice as "
            "many examples as of a file of weight 1."
        )
    return float(value)
