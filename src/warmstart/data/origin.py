"""Properties of a task's published data, by which files and columns are recognized."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from warmstart.data.columns import KINDS, Kind
from warmstart.data.splits import SPLITS

__all__ = ["HubData", "Origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubData:
    """A data set on the hub."""

    name: str  # such as "EdinburghNLP/xsum"
    config: str | None = None  # which of its configurations; None: it has one
    # Our names of splits -> theirs; only these splits exist.
    splits: Mapping[str, str] = field(
        default_factory=lambda: {split: split for split in SPLITS}, hash=False
    )

    note: str = ""  # a warning when it is taken

    def __str__(self) -> str:
        return f"hub:{self.name}" if self.config is None else f"hub:{self.name}:{self.config}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Known properties of a task's data."""

    hub: HubData | None = None  # None: the task has no data set of its own
    # Kinds of data; columns known to hold other kinds are rejected.
    kinds: tuple[Kind, ...] = KINDS
    languages: tuple[str, str] | None = None  # of source and target: columns and ends of file names
    # Words in the names of parallel text files, source and target: train.src.txt, train.tgt.txt
    sides: tuple[tuple[str, str], ...] = ()
    subfolders: tuple[str, ...] = ()  # of a local copy that may hold the files
    prefer: str | None = None  # word in the names of the files to prefer
