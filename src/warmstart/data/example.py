"""One training or evaluation example: texts, no tokens."""

from dataclasses import dataclass

__all__ = ["Example"]


@dataclass(frozen=True, slots=True)
class Example:
    """A source text and its targets."""

    source: str
    targets: tuple[str, ...]  # at least one; training uses the first, metrics use all
    weight: float = 1.0  # how much its loss counts in training, >= 0

    @property
    def target(self) -> str:
        """The text to learn: the first of the targets."""
        return self.targets[0]
