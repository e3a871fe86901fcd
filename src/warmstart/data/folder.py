"""The files of each split in a folder, found by their names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from warmstart.data.compressed import without_compression
from warmstart.data.origin import Origin
from warmstart.data.rows import FORMATS
from warmstart.data.splits import SplitName
from warmstart.errors import DataError, did_you_mean

__all__ = ["FolderFiles", "folder_splits", "is_saved_dataset"]

# Names of splits in published data sets.
_WORDS: Final[Mapping[SplitName, tuple[str, ...]]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development", "tune"),
    "test": ("test", "testing"),
}
# Words of the two sides of parallel text in file names, whatever the task.
_SIDES: Final = (("source", "target"), ("src", "tgt"), ("src", "trg"))
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}(?:-[0-9a-f]{16})?$")  # as the hub numbers parts


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files of a split in a folder.

    Attributes:
        files: files of pairs, to be read one after the other.
        parallel: whether they are parallel text files instead.
    """

    files: tuple[Path, ...]
    parallel: bool = False


def is_saved_dataset(folder: Path) -> bool:
    """Whether a folder was written by ``save_to_disk`` of `datasets`."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def folder_splits(folder: Path, origin: Origin) -> dict[str, FolderFiles]:
    """The files of each split, in a folder or one below it where a copy of a data set has them.

    A file belongs to a split by a word of its name: train.tsv, valid.jsonl.gz,
    train-00000-of-00003.parquet, test.src.txt and test.tgt.txt; or by its folder:
    train/0000.parquet.

    Args:
        folder: the folder.
        origin: properties of the task's data.

    Raises:
        DataError: if there are no such files, or a split has several candidates.
    """
    candidates = [folder, *(folder / name for name in origin.subfolders), folder / "data"]
    for place in candidates:
        found = _splits(place, origin) if place.is_dir() else {}
        if found:
            return found
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}; check the path to the data.")
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"
    raise DataError(
        f"No file in {folder} has train, validation or test in its name and a known format; it "
        f"holds {shown}. Name the files, or give them one by one: train=FILE, test=FILE."
    )


def _splits(place: Path, origin: Origin) -> dict[str, FolderFiles]:
    found: dict[str, FolderFiles] = {}
    for split, words in _WORDS.items():
        for word in words:  # the first word that occurs: next to validation.tsv, tune.tsv is other
            files = _pick(_files_named(place, word), word, place, origin)
            if files is not None:
                found[split] = files
                break
    return found


def _files_named(place: Path, word: str) -> list[Path]:
    below = place / word
    inside = sorted(below.iterdir()) if below.is_dir() else []
    return [
        path
        for path in (*sorted(place.iterdir()), *inside)
        if path.is_file()
        and not path.name.startswith(".")
        and (path.parent == below or word in _words(path.name))
    ]


def _words(name: str) -> list[str]:
    """The words of a file's name, and its numbers: test.ref0.txt has test, ref, 0 and txt."""
    return re.findall(r"[^\W\d_]+|\d+", name.lower())


def _pick(paths: Sequence[Path], word: str, place: Path, origin: Origin) -> FolderFiles | None:
    """The files of one split among those that have its word in their name."""
    tables = [path for path in paths if without_compression(path).suffix.lower() in FORMATS]
    groups: dict[str, list[Path]] = {}
    for path in tables:
        groups.setdefault(_group(path, place / word), []).append(path)
    chosen = _one_group(list(groups), word, place, origin.prefer)
    if chosen is not None:
        return FolderFiles(tuple(groups[chosen]))
    for source, target in _sides(origin):
        sources = [path for path in paths if _has_side(path, source, target)]
        targets = [path for path in paths if _has_side(path, target, source)]
        if len(sources) > 1:
            raise _several([path.name for path in sources], word, place)
        if sources and targets:
            return FolderFiles((sources[0], *sorted(targets, key=_number)), parallel=True)
    return None


def _sides(origin: Origin) -> Iterator[tuple[str, str]]:
    if origin.languages is not None:
        yield origin.languages
    yield from origin.sides
    yield from _SIDES


def _has_side(path: Path, side: str, other: str) -> bool:
    words = {*_words(path.name)}
    return words.issuperset(_words(side)) and not words.issuperset(_words(other))


def _number(path: Path) -> tuple[int, str]:
    """Sort key of numbered references: 10 comes after 9."""
    numbers = [int(word) for word in _words(path.name) if word.isdecimal()]
    return (numbers[-1] if numbers else 0, path.name)


def _group(path: Path, below: Path) -> str:
    """The name that the shards of one file have in common."""
    if path.parent == below:
        return f"{path.parent.name}/"
    return _SHARD.sub("", without_compression(path).stem) + without_compression(path).suffix


def _one_group(names: Sequence[str], word: str, place: Path, prefer: str | None) -> str | None:
    preferred = [name for name in names if prefer is not None and prefer in _words(name)]
    exact = [name for name in names if Path(name).stem == word or name == f"{word}/"]
    for few in (preferred, exact, names):
        if len(few) == 1:
            return few[0]
        if len(few) > 1:
            raise _several(few, word, place)
    return None


def _several(names: Sequence[str], word: str, place: Path) -> DataError:
    return DataError(
        f"{place} has several files with {word} in their name: {', '.join(names)}; give one of "
        f"them as a file. {did_you_mean(word, names)}"
    )
