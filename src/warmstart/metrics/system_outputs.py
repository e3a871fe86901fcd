"""A system's outputs, with their sources and references."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from warmstart.errors import UsageError

__all__ = ["SystemOutputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemOutputs:
    """Texts of N examples. All but the outputs may be unknown.

    Raises:
        UsageError: if there is no example, the counts differ, or an example has no reference.
    """

    outputs: Sequence[str]
    references: Sequence[Sequence[str]] | None = field(default=None, repr=False)
    sources: Sequence[str] | None = field(default=None, repr=False)
    # Whether decoding truncated an output at the maximum length.
    at_limit: Sequence[bool] | None = field(default=None, repr=False)
    # Scores of each output by other programs, by name.
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict, repr=False)
    note: str | None = None  # how the texts were changed before, for the signatures

    def __post_init__(self) -> None:
        if not self.outputs:
            raise UsageError("There are no examples to score; give at least one.")
        counts = {
            "sources": self.sources,
            "outputs": self.outputs,
            "lists of references": self.references,
            "at_limit": self.at_limit,
            **{f"scores of {name}": values for name, values in self.scores.items()},
        }
        given = {what: len(texts) for what, texts in counts.items() if texts is not None}
        if len(set(given.values())) > 1:
            *first, last = (f"{count} {what}" for what, count in given.items())
            raise UsageError(
                f"There are {', '.join(first)} and {last}; every example needs one of each."
            )
        for number, of_example in enumerate(self.references or (), start=1):
            if isinstance(of_example, str) or not of_example:
                kind = "a single text" if isinstance(of_example, str) else "no reference"
                raise UsageError(
                    f"There is {kind} as the references of example {number}; "
                    "give a list with one or more texts."
                )

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def reference_count(self) -> str:
        """References of each example as signatures write it: a number, or ``var`` if it varies."""
        counts = {len(of_example) for of_example in self.references or ()}
        return str(counts.pop()) if len(counts) == 1 else "var"
