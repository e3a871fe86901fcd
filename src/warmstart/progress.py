"""Progress on stderr: bars on a terminal, a plain line now and then elsewhere. Loads no torch."""

import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

__all__ = ["Advance", "Progress", "counted", "duration", "one_line"]

Advance = Callable[[int], None]  # takes how many more are done

_SECONDS_PER_LINE: Final = 30.0  # off a terminal, between lines about the same thing
_REFRESHES: Final = 2  # a second; drawing takes time from the work that it tells of
_WIDEST_LINE: Final = 160  # columns that a text is cut to where there is no terminal


class _Bars(RichProgress):
    """Bars, and beneath them a line of values."""

    values: tuple[str, str] = ("", "")  # for wide terminals and for narrow ones

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        long, short = self.values
        if long:
            text = long if len(long) < self.console.width else short
            yield Text(text, no_wrap=True, overflow="ellipsis")


class Progress:
    """Bars with a line of values beneath, and lines that stay above them.

    Where stderr is no terminal there are no bars and no control characters, and who tells of its
    progress asks `due` whether it is time for another line. Use it as a context.

    Args:
        numbers: whether a bar says how many of how many; for what is counted in bytes it does not.
    """

    def __init__(self, *, numbers: bool = True) -> None:
        self.live = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
        self.console = (
            Console(file=sys.stderr, highlight=False)
            if self.live
            else Console(file=sys.stderr, highlight=False, force_terminal=False, color_system=None)
        )
        self.told = time.monotonic()
        self.bars = _Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            *([MofNCompleteColumn()] if numbers else []),
            TextColumn("{task.fields[left]:<16}"),  # as wide whatever it says, or bars would jump
            console=self.console,
            refresh_per_second=_REFRESHES,
            redirect_stdout=False,  # it is for results
            redirect_stderr=self.live,  # so that logs go above
            disable=not self.live,
            expand=True,
        )

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Takes the bars away, and gives the terminal its cursor back."""
        self.bars.stop()

    @property
    def width(self) -> int:
        """Columns that a line has."""
        return self.console.width if self.live else _WIDEST_LINE

    def due(self) -> bool:
        """Whether it is time for a plain line; if so, the next is not due for a while."""
        now = time.monotonic()
        if self.live or now - self.told < _SECONDS_PER_LINE:
            return False
        self.told = now
        return True

    def say(self, text: Text | str) -> None:
        """Writes a line that stays."""
        self.console.print(Text(text) if isinstance(text, str) else text, soft_wrap=True)

    @contextmanager
    def counted(self, what: str, total: int) -> Iterator[Advance]:
        """A bar, or plain lines, for as long as something is counted.

        Args:
            what: is done, such as "decoding".
            total: how many.
        """
        bar = self.bars.add_task(what, total=total, left="")
        done, began = 0, time.monotonic()

        def advance(more: int) -> None:
            nonlocal done
            done += more
            seconds = (time.monotonic() - began) / max(done, 1) * (total - done)
            left = f"{duration(seconds)} left" if done < total else ""
            self.bars.update(bar, completed=done, left=left)
            if self.due():
                self.say(", ".join(filter(None, (f"{what}: {done:,} of {total:,}", left))))

        try:
            yield advance
        finally:
            self.bars.remove_task(bar)


@contextmanager
def counted(what: str, total: int) -> Iterator[Advance]:
    """Progress of one thing that is counted; see `Progress.counted`."""
    with Progress() as progress, progress.counted(what, total) as advance:
        yield advance


def duration(seconds: float) -> str:
    """A time for people: "40 s", "12 min 5 s", "3 h 20 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def one_line(text: str, width: int) -> str:
    """A text on one line no wider than so many columns, without control characters."""
    spaced = " ".join(text.split())
    shown = "".join("\N{REPLACEMENT CHARACTER}" if _is_control(char) else char for char in spaced)
    cut = Text(shown)
    cut.truncate(width, overflow="ellipsis")
    return cut.plain


def _is_control(char: str) -> bool:
    # Direction marks (Cf) turn a terminal's line around; lone surrogates (Cs) cannot be written.
    return unicodedata.category(char) in ("Cc", "Cf", "Cs") and char != "\N{ZERO WIDTH JOINER}"
