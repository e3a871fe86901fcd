"""How far `warmstart generate` is."""

import time
from typing import TYPE_CHECKING

from warmstart.progress import Progress, duration

if TYPE_CHECKING:
    from warmstart.bulk.blocks import Block
    from warmstart.bulk.decode import Counts

__all__ = ["GenerationProgress"]


class GenerationProgress(Progress):
    """Counts lines, their rate, and from the bytes that were read the time that is left.

    Args:
        total: bytes of the whole input; None: not known, and so neither is the time left.
    """

    def __init__(self, total: int | None) -> None:
        super().__init__(numbers=False)
        self.bar = self.bars.add_task("loading the model", total=total, left="")
        self.total = total
        self.lines = 0  # written, by earlier runs, too
        self.texts = 0  # of the block at hand
        self.began = time.monotonic()
        self.first: tuple[int, int] | None = None  # lines and bytes before this run's own

    def text(self) -> None:
        """A text is decoded."""
        self.texts += 1
        if self.live:
            self.bars.update(self.bar, description=self._counted(self.lines + self.texts))
        elif self.due():
            self.say(self._counted(self.lines + self.texts))

    def block(self, block: "Block", counts: "Counts") -> None:
        """A block is written."""
        if self.first is None:
            own = sum(map(len, block.lines))
            self.first = counts.lines - len(block.lines), block.bytes - own
            self.last_line = time.monotonic()  # the time before was loading
        self.lines, self.texts = counts.lines, 0
        counted, left = self._counted(self.lines), self._left(block.bytes)
        self.bars.update(self.bar, completed=block.bytes, description=counted, left=left)
        if self.due():
            self.say(", ".join(filter(None, (counted, left))))

    def _counted(self, lines: int) -> str:
        before, _ = self.first or (0, 0)
        seconds = max(time.monotonic() - self.began, 1e-6)
        return f"{lines:,} texts, {(lines - before) / seconds:,.1f} a second"

    def _left(self, read: int) -> str:
        _, before = self.first or (0, 0)
        if self.total is None or read <= before:
            return ""
        seconds = (time.monotonic() - self.began) * (self.total - read) / (read - before)
        return f"{duration(max(seconds, 0))} left"
