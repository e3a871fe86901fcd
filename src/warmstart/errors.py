"""Every error that warmstart raises for something a user can fix.

The message states the value, the allowed values and the next step. The command line prints it as
one sentence without a traceback and exits with ``exit_code``. Bugs of our own are ``assert``s and
keep their traceback.
"""

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = [
    "CheckpointError",
    "CompositionError",
    "ConversionError",
    "DataError",
    "Interrupted",
    "OutputError",
    "TextError",
    "TrainingError",
    "UsageError",
    "WarmstartError",
    "did_you_mean",
    "is_reporting_rank",
    "same_on_all_ranks",
]


class WarmstartError(Exception):
    """A failure that a user can fix, as the message describes.

    Attributes:
        exit_code: of the command.
        on_all_ranks: whether all processes of a run raise the same error, most often because they
            read the same files; then one of them reports it for all.
    """

    exit_code = 1
    on_all_ranks = True


def is_reporting_rank() -> bool:
    """Whether this process reports for all of a run's processes on this machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


@contextmanager
def same_on_all_ranks() -> Iterator[None]:
    """Marks errors of the block as `on_all_ranks`, whatever their kind."""
    try:
        yield
    except WarmstartError as error:
        error.on_all_ranks = True
        raise


class UsageError(WarmstartError):
    """An option, recipe key or name that does not exist, or a value that is not allowed."""

    exit_code = 2


class TextError(UsageError):
    """An unusable text among several.

    Attributes:
        what: "Text", "Prefix" or "Choice".
        number: its number among them, from 1.
        problem: the message without its subject.
    """

    def __init__(self, what: str, number: int, problem: str) -> None:
        super().__init__(f"{what} {number} {problem}")
        self.what = what
        self.number = number
        self.problem = problem


class CheckpointError(WarmstartError):
    """A checkpoint that cannot be found, read or trusted."""


class ConversionError(CheckpointError):
    """Tensors that do not fit the architecture in the checkpoint's config."""


class CompositionError(WarmstartError):
    """Two halves that cannot be composed, or shared, as requested."""


class DataError(WarmstartError):
    """A data file with a missing column, an empty text, invalid UTF-8 or similar defects."""


class OutputError(WarmstartError):
    """An output folder or file that cannot be written without losing something.

    Attributes:
        disk_full: whether it is for lack of space.
    """

    on_all_ranks = False
    disk_full = False


class TrainingError(WarmstartError):
    """A run that cannot start, resume or continue."""

    on_all_ranks = False


class Interrupted(WarmstartError):
    """A run that stopped in an orderly way after a signal. Nothing needs fixing."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # 128 plus the signal's number, as in a shell


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """The end of an error message: the nearest allowed name, if one is near, and all of them.

    >>> did_you_mean("robreta", ["bert", "roberta"])
    "did you mean 'roberta'? Allowed: bert, roberta."
    """
    allowed = list(allowed)
    by_folded = {candidate.lower(): candidate for candidate in allowed}
    near = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    listing = f"Allowed: {', '.join(allowed)}."
    return f"did you mean '{by_folded[near[0]]}'? {listing}" if near else listing
