"""Are all values finite, and no tensor all zero?"""

from collections import Counter

import torch
from torch import Tensor

from warmstart.doctor.finding import Check, Complaint, Verdict, judge
from warmstart.doctor.subject import Subject

__all__ = ["TENSORS"]

_LISTED = 5  # names in a message


def _run(subject: Subject) -> Verdict:
    dtypes: Counter[str] = Counter()
    values = wrong_values = 0
    wrong: list[str] = []
    zero: list[str] = []
    # Gemma's norms scale by 1 + weight, so zeros are normal there.
    offset = any(side.stack.norm.unit_offset for side in subject.sides)
    for name in subject.checkpoint.files:
        tensor = subject.checkpoint.read([name])[name]
        dtypes[str(tensor.dtype).removeprefix("torch.")] += 1
        if not tensor.is_floating_point():
            continue  # a buffer, such as position ids
        values += tensor.numel()
        bad = int((~torch.isfinite(tensor)).sum())
        wrong_values += bad
        if bad:
            wrong.append(name)
        elif not tensor.any() and not _may_be_zero(name, tensor, unit_offset=offset):
            zero.append(name)
    complaints = []
    if wrong:
        complaints.append(
            Complaint(
                status="problem",
                what=f"{wrong_values} values of {len(wrong)} tensors are not finite: "
                f"{_listing(wrong)}.",
                remedy="Go back to an earlier checkpoint. If training caused this, lower the "
                "learning rate, clip gradients, and train in bfloat16 or float32, not float16.",
            )
        )
    if zero:
        complaints.append(
            Complaint(
                status="warning",
                what=f"{len(zero)} tensors hold only zeros: {_listing(zero)}.",
                remedy="Unless that was intended, their values were lost: take them from the "
                "checkpoint again, or repeat the composition.",
            )
        )
    return judge(
        complaints,
        fine=f"All {values} values of {len(subject.checkpoint.files)} tensors are finite "
        f"({_kinds(dtypes)}), and no weight is all zero.",
        figures={
            "tensors": len(subject.checkpoint.files),
            "values": values,
            "not_finite_tensors": len(wrong),
            "not_finite_values": wrong_values,
            "all_zero_tensors": len(zero),
            "dtypes": _kinds(dtypes),
        },
    )


def _may_be_zero(name: str, tensor: Tensor, *, unit_offset: bool) -> bool:
    """Biases start at zero, RoBERTa's one token type is zero, and gates begin closed."""
    if "token_type" in name:
        return True
    if tensor.dim() >= 2:
        return False
    return unit_offset or not name.endswith((".weight", ".gamma"))


def _listing(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def _kinds(dtypes: Counter[str]) -> str:
    return ", ".join(kind for kind, _ in dtypes.most_common())


TENSORS = Check(
    name="tensors",
    why="A single NaN makes every output NaN; a weight of zeros passes nothing on.",
    run=_run,
)
