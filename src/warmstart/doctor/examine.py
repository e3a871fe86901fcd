"""All checks of a model, one after the other."""

import os
from collections.abc import Sequence
from typing import Final

from warmstart.doctor.built_in_pairs import BUILT_IN
from warmstart.doctor.check_cross_attention import CROSS_ATTENTION
from warmstart.doctor.check_loading import LOADING
from warmstart.doctor.check_positions import POSITIONS
from warmstart.doctor.check_round_trip import ROUND_TRIP
from warmstart.doctor.check_sharing import SHARING
from warmstart.doctor.check_source_dependence import SOURCE_DEPENDENCE
from warmstart.doctor.check_special_tokens import SPECIAL_TOKENS
from warmstart.doctor.check_tensors import TENSORS
from warmstart.doctor.check_texts import TEXTS
from warmstart.doctor.check_vocabulary import VOCABULARY
from warmstart.doctor.finding import Check, Finding, Verdict
from warmstart.doctor.subject import Pair, Subject, open_subject

__all__ = ["CHECKS", "examine"]

CHECKS: Final[tuple[Check, ...]] = (
    LOADING,
    SPECIAL_TOKENS,
    VOCABULARY,
    TEXTS,
    POSITIONS,
    TENSORS,
    SHARING,
    SOURCE_DEPENDENCE,
    CROSS_ATTENTION,
    ROUND_TRIP,
)


def examine(
    name: str | os.PathLike[str],
    pairs: Sequence[Pair] | None = None,
    *,
    device: str | None = None,
) -> tuple[Finding, ...]:
    """Runs all checks on a model, or those that apply on a checkpoint.

    Args:
        name: a folder or hub id.
        pairs: sources and targets for the checks, best of its own task; default: some plain
            English sentences.
        device: to compute on; default: a CUDA GPU, or without one the CPU.

    Returns:
        A finding for each check, in the order of `CHECKS`.

    Raises:
        CheckpointError: if its config or tensors cannot be read at all, or are of no supported
            family.
        CompositionError: if its config describes an impossible composition.
    """
    subject = open_subject(
        name,
        BUILT_IN if pairs is None else pairs,
        pairs_given=pairs is not None,
        device=device,
    )
    return tuple(_finding(check, subject) for check in CHECKS)


def _finding(check: Check, subject: Subject) -> Finding:
    try:
        verdict = check.run(subject)
    except Exception as error:  # a model may be broken in any way, and the other checks continue
        verdict = Verdict(
            status="problem",
            what=f"The check ended with {type(error).__name__}: {' '.join(str(error).split())}",
            remedy="Fix the other findings, and examine the model again.",
        )
    return Finding(
        check=check.name,
        status=verdict.status,
        what=verdict.what,
        why=check.why,
        remedy=verdict.remedy,
        figures=verdict.figures,
    )
