"""How far `warmstart generate` is: a bar on a terminal, else a line now and then."""

import logging
import time
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from warmstart.bulk.blocks import Block
    from warmstart.bulk.decode import Counts

__all__ = ["GenerationProgress"]

logger = logging.getLogger(__name__)

_LINE_EVERY: Final = 60.0  # seconds between two lines where there is no terminal


class GenerationProgress:
    """Counts lines, their rate, and from the bytes that were read the time that is left.

    Args:
        total: bytes of the whole input; None: not known, and so neither is the time left.
    """

    def __init__(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
        if total is None:
            del columns[1]
        self.bar = Progress(
            *columns, console=console, disable=not console.is_terminal, redirect_stdout=False
        )
        self.terminal = console.is_terminal
        self.task = self.bar.add_task("loading the model", total=total)
        self.total = total
        self.lines = 0  # written, by earlier runs, too
        self.texts = 0  # of the block at hand
        self.began = self.told = time.monotonic()
        self.left = ""
        self.first: tuple[int, int] | None = None  # lines and bytes before this run's own

    def __enter__(self) -> "GenerationProgress":
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def text(self) -> None:
        """A text is decoded."""
        self.texts += 1
        if self.terminal:
            self.bar.update(self.task, description=self._told(self.lines + self.texts, None))

    def block(self, block: "Block", counts: "Counts") -> None:
        """A block is written."""
        if self.first is None:
            own = sum(map(len, block.lines))
            self.first = counts.lines - len(block.lines), block.bytes - own
            self.told = time.monotonic()  # what came before was loading
        self.lines, self.texts = counts.lines, 0
        told = self._told(self.lines, block.bytes)
        self.bar.update(self.task, completed=block.bytes, description=told)
        now = time.monotonic()
        if not self.terminal and now - self.told >= _LINE_EVERY:
            self.told = now
            logger.info("%s", told)

    def _told(self, lines: int, read: int | None) -> str:
        seconds = max(time.monotonic() - self.began, 1e-6)
        before, before_bytes = self.first or (0, 0)
        rate = (lines - before) / seconds
        told = f"{lines:,} texts, {rate:,.1f} a second"
        if read is not None:
            self.left = ""
            if self.total is not None and read > before_bytes:
                left = seconds * (self.total - read) / (read - before_bytes)
                self.left = f", {timedelta(seconds=max(0, round(left)))} left"
        return told + self.left
