"""Does the model load?"""

from warmstart.doctor.finding import Check, Verdict
from warmstart.doctor.subject import Subject

__all__ = ["LOADING"]


def _run(subject: Subject) -> Verdict:
    if subject.composition is None:
        return Verdict(
            status="skipped",
            what=f"{subject.refusal} Only the checks of a checkpoint were run; compose it first "
            "for the rest: warmstart compose ENCODER DECODER -o DIR",
        )
    if subject.model is None:
        return Verdict(
            status="problem",
            what=subject.refusal,
            remedy="Follow this message, and see the findings below.",
        )
    parameters = sum(parameter.numel() for parameter in subject.model.model.parameters())
    stacks = (subject.model.model.config.encoder, subject.model.model.config.decoder)
    layers = " + ".join(str(stack.layers) for stack in stacks if stack is not None)
    return Verdict(
        status="ok",
        what=f"It loads: {layers} layers, {parameters:,} parameters.",
        figures={"parameters": parameters},
    )


LOADING = Check(
    name="loading",
    why="A model that does not load can be neither trained nor used.",
    run=_run,
)
