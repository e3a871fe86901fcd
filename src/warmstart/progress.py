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

Advance = Callable[[int], None]  # takes the number of newly finished items

_SECONDS_PER_LINE: Final = 30.0  # without a terminal, between lines about the same task
_REFRESHES: Final = 2  # a second; drawing takes time from the work
_WIDEST_LINE: Final = 160  # columns of a line without a terminal


class _Bars(RichProgress):
    """Bars with a line of values beneath."""

    values: tuple[str, str] = ("", "")  # for wide terminals and for narrow ones

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        long, short = self.values
        if long:
            text = long if len(long) < self.console.width else short
            yield Text(text, no_wrap=True, overflow="ellipsis")


class Progress:
    """Bars with a line of values beneath, and lines that stay above them.

    Without a terminal on stderr there are no bars and no control characters; callers write plain
    lines instead, whenever `due` returns true. A context manager.

    Args:
        numbers: whether a bar shows the count and the total; not for counts of bytes.
    """

    def __init__(self, *, numbers: bool = True) -> None:
        self.live = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
        self.console = (
            Console(file=sys.stderr, highlight=False)
            if self.live
            else Console(file=sys.stderr, highlight=False, force_terminal=False, color_system=None)
        )
        self.last_line = time.monotonic()
        self.bars = _Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            *([MofNCompleteColumn()] if numbers else []),
            TextColumn("{task.fields[left]:<16}"),  # a constant width, or bars would jump
            console=self.console,
            refresh_per_second=_REFRESHES,
            redirect_stdout=False,  # it carries results
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
        """Removes the bars and restores the cursor."""
        self.bars.stop()

    @property
    def width(self) -> int:
        """Columns of a line."""
        return self.console.width if self.live else _WIDEST_LINE

    def due(self) -> bool:
        """Whether it is time for a plain line; if so, the next is not due for a while."""
        now = time.monotonic()
        if self.live or now - self.last_line < _SECONDS_PER_LINE:
            return False
        self.last_line = now
        return True

    def say(self, text: Text | str) -> None:
        """Writes a line that stays."""
        self.console.print(Text(text) if isinstance(text, str) else text, soft_wrap=True)

    @contextmanager
    def counted(self, what: str, total: int) -> Iterator[Advance]:
        """Shows a bar, or plain lines, for a counted task.

        Args:
            what: name of the task, such as "decoding".
            total: number of items.
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
    """Progress of one counted task; see `Progress.counted`."""
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
    """A text on one line of at most `width` columns, without control characters."""
    spaced = " ".join(text.split())
    shown = "".join("\N{REPLACEMENT CHARACTER}" if _is_control(char) else char for char in spaced)
    cut = Text(shown)
    cut.truncate(width, overflow="ellipsis")
    return cut.plain


def _is_control(char: str) -> bool:
    # Direction marks (Cf) turn a terminal's line around; lone surrogates (Cs) cannot be written.
    return unicodedata.category(char) in ("Cc", "Cf", "Cs") and char != "\N{ZERO WIDTH JOINER}"
