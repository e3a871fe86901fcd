"""Can the tokenizers represent the texts of the task?"""

from warmstart.data.example import Example
from warmstart.doctor.finding import Check, Verdict
from warmstart.doctor.subject import Subject
from warmstart.text.round_trip import measure_round_trip

__all__ = ["TEXTS"]


def _run(subject: Subject) -> Verdict:
    if subject.model is None:
        return Verdict(status="skipped", what=subject.absence)
    if not subject.pairs_given:
        return Verdict(status="skipped", what="Only pairs of the task show it; give --data FILE.")
    measured = measure_round_trip(
        subject.model.tokenizers, [Example(source, (target,)) for source, target in subject.pairs]
    )
    what = "; ".join(line.strip().removeprefix("warning: ") for line in measured.lines())
    what = f"{what[0].upper()}{what[1:]}.".replace(":; ", ": ")
    if measured.lossless:
        return Verdict(status="ok", what=what, figures=measured.figures)
    return Verdict(
        status="warning",
        what=what,
        remedy="Choose checkpoints whose tokenizers know the characters, capitals and accents of "
        "the task. Case, accents and spaces come back with detokenize 'auto', as far as outputs "
        "are copied from their sources; else `evaluate --reference-text round-trip` compares like "
        "with like.",
        figures=measured.figures,
    )


TEXTS = Check(
    name="texts",
    why="A target that does not survive its tokenizer can be learnt only in part, and never be "
    "matched; what a source loses, no output can repeat.",
    run=_run,
)
