"""Every error that warmstart raises for something a user can mend.

An error's text says what was given, what is allowed and what to do next. The command line prints
it as one sentence without a traceback and exits with ``exit_code``. Bugs of our own are
``assert``s and keep their traceback.
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
    "alike",
    "did_you_mean",
    "tells",
]


class WarmstartError(Exception):
    """Something went wrong that the message tells how to mend.

    Attributes:
        exit_code: of the command.
        everywhere: whether it happens alike in all processes of a run, most often because they read
            the same files; then one of them tells for all.
    """

    exit_code = 1
    everywhere = True


def tells() -> bool:
    """Whether this process tells what all of a run's processes on this machine have to tell."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


@contextmanager
def alike() -> Iterator[None]:
    """Marks errors of the block as `everywhere`, whatever their kind."""
    try:
        yield
    except WarmstartError as error:
        error.everywhere = True
        raise


class UsageError(WarmstartError):
    """An option, recipe key or name that does not exist, or a value that is not allowed."""

    exit_code = 2


class TextError(UsageError):
    """One of several texts that cannot be taken as it is.

    Attributes:
        place: which, counted from 1.
        problem: what is wrong with it; the sentence without its subject.
    """

    def __init__(self, what: str, place: int, problem: str) -> None:
        super().__init__(f"{what} {place} {problem}")
        self.place = place
        self.problem = problem


class CheckpointError(WarmstartError):
    """A checkpoint that cannot be found, read or trusted."""


class ConversionError(CheckpointError):
    """Tensors that do not fit the architecture that the checkpoint's config describes."""


class CompositionError(WarmstartError):
    """Two halves that cannot be composed, or shared, in the way that was asked for."""


class DataError(WarmstartError):
    """A data file with a missing column, an empty side, bad encoding, and the like."""


class OutputError(WarmstartError):
    """An output folder or file that cannot be written without losing something."""

    everywhere = False


class TrainingError(WarmstartError):
    """A run that cannot start, resume or go on."""

    everywhere = False


class Interrupted(WarmstartError):
    """A run that was told to stop, and did so in good order. Nothing has to be mended."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # 128 and the signal's number, as a shell has it


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Ends an error sentence: the nearest allowed name, if any is near, and all of them.

    >>> did_you_mean("robreta", ["bert", "roberta"])
    "did you mean 'roberta'? Allowed: bert, roberta."
    """
    allowed = list(allowed)
    by_folded = {candidate.lower(): candidate for candidate in allowed}
    near = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    listing = f"Allowed: {', '.join(allowed)}."
    return f"did you mean '{by_folded[near[0]]}'? {listing}" if near else listing
