"""Checks and their findings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from warmstart.doctor.subject import Subject

__all__ = ["Check", "Complaint", "Finding", "Status", "Verdict", "judge"]

Status = Literal["ok", "warning", "problem", "skipped"]
Figure = float | int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check.

    Attributes:
        check: the check's name.
        status: "ok"; "warning" (works, but not as expected), "problem" (wrong outputs or none), or
            "skipped" (does not apply, or cannot be done).
        what: the observation, with numbers.
        why: the significance of the check.
        remedy: the fix; empty if none is needed.
        figures: the numbers, by name.
    """

    check: str
    status: Status
    what: str
    why: str
    remedy: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        names = ("check", "status", "what", "why", "remedy")
        return {**{name: getattr(self, name) for name in names}, "figures": dict(self.figures)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The part of a finding that depends on the model; the attributes are `Finding`'s."""

    status: Status
    what: str
    remedy: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One of possibly several defects found by a check."""

    status: Literal["warning", "problem"]
    what: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        name: for people and machines.
        why: its significance.
        run: examines a model.
    """

    name: str
    why: str
    run: Callable[[Subject], Verdict]


def judge(
    complaints: Sequence[Complaint], *, fine: str, figures: Mapping[str, Figure] | None = None
) -> Verdict:
    """Combines complaints into one verdict, with the worst status.

    Args:
        complaints: the defects.
        fine: the observation without a defect.
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
