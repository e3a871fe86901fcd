"""What every metric gives: a number on one scale, how sure it is, and what it measures."""

from dataclasses import dataclass, field

__all__ = ["Score"]


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's value over a set of examples.

    >>> print(Score(63.2, (62.812, 63.584), "sari|nrefs:1"))
    63.20 [62.81, 63.58]
    """

    value: float  # 0 to 100
    ci: tuple[float, float] | None  # 95 % bootstrap interval over examples; None for one example
    signature: str  # definition, references, casing, tokens and version: equal if comparable
    # The value of each example alone, 0 to 100, if it was asked for. They need not average to
    # `value`, which for many metrics is a ratio of sums.
    per_example: tuple[float, ...] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.ci is None:
            return f"{self.value:.2f}"
        low, high = self.ci
        return f"{self.value:.2f} [{low:.2f}, {high:.2f}]"

    def to_json(self) -> dict[str, object]:
        """The value, interval and signature as plain values for `json.dump`."""
        return {
            "value": self.value,
            "ci": None if self.ci is None else list(self.ci),
            "signature": self.signature,
        }
