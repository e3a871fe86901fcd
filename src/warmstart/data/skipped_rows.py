"""Rows without an example."""

from dataclasses import dataclass

__all__ = ["SkippedRows"]


@dataclass(slots=True)
class SkippedRows:
    """Counts rows that are skipped because a text in them is empty."""

    rows: int = 0
    first: str | None = None  # location of the first of them

    def add(self, place: str) -> None:
        """Counts one."""
        self.rows += 1
        self.first = place if self.first is None else self.first
