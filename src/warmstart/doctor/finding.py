"""What a check is and what it finds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from warmstart.doctor.subject import Subject

__all__ = ["Check", "Complaint", "Figure", "Finding", "Status", "Verdict", "judge"]

Status = Literal["ok", "warning", "problem", "skipped"]
Figure = float | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check has seen.

    Attributes:
        check: the check's name.
        status: "ok"; "warning" (works, but not as one would expect), "problem" (wrong outputs or
            none), or "skipped" (does not apply, or cannot be done).
        what: what was seen, in words and numbers.
        why: why it matters.
        remedy: how to mend it; empty where there is nothing to mend.
        figures: the numbers, by name.
    """

    check: str
    status: Status
    what: str
    why: str
    remedy: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        names = ("check", "status", "what", "why", "remedy")
        return {**{name: getattr(self, name) for name in names}, "figures": dict(self.figures)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A finding without what is the same for every model; the attributes are `Finding`'s."""

    status: Status
    what: str
    remedy: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One thing that is wrong, of the several that a check may find."""

    status: Literal["warning", "problem"]
    what: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        name: for people and machines.
        why: why what it looks at matters.
        run: looks at a model.
    """

    name: str
    why: str
    run: Callable[[Subject], Verdict]


def judge(
    complaints: Sequence[Complaint], *, fine: str, figures: Mapping[str, Figure] | None = None
) -> Verdict:
    """One verdict from several complaints, as bad as the worst of them.

    Args:
        complaints: what is wrong.
        fine: what to say if nothing is.
        figures: the numbers, by name.
    """
    figures = figures or {}
    if not complaints:
        return Verdict(status="ok", what=fine, figures=figures)
    worst: Status = "warning"
    if any(complaint.status == "problem" for complaint in complaints):
        worst = "problem"
    return Verdict(
        status=worst,
        what=" ".join(dict.fromkeys(complaint.what for complaint in complaints)),
        remedy=" ".join(dict.fromkeys(complaint.remedy for complaint in complaints)),
        figures=figures,
    )
