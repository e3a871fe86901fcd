"""Rows that give no example."""

from dataclasses import dataclass

__all__ = ["SkippedRows"]


@dataclass(slots=True)
class SkippedRows:
    """Counts the rows that were left out because a text in them is empty."""

    rows: int = 0
    first: str | None = None  # where the first of them is

    def add(self, place: str) -> None:
        """Counts one."""
        self.rows += 1
        self.first = place if self.first is None else self.first
