"""How the data of a task looks where it was published, so that it can be found in what is given."""

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
    # Their names of our splits; a split that is left out is not there.
    splits: Mapping[str, str] = field(
        default_factory=lambda: {split: split for split in SPLITS}, hash=False
    )

    note: str = ""  # what who takes it should know

    def __str__(self) -> str:
        return f"hub:{self.name}" if self.config is None else f"hub:{self.name}:{self.config}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is known of a task's data before it is read."""

    hub: HubData | None = None  # None: there is no one data set of this task
    # What it may hold; columns that are known to hold something else are refused.
    kinds: tuple[Kind, ...] = KINDS
    languages: tuple[str, str] | None = None  # of source and target: columns and ends of file names
    # Words in the names of parallel text files, source and target: train.src.txt, train.tgt.txt
    sides: tuple[tuple[str, str], ...] = ()
    subfolders: tuple[str, ...] = ()  # of a local copy, in which the files may lie
    prefer: str | None = None  # word in the names of the files to take, where there are others
