"""Do the weights agree with what the config says is shared?"""

from collections.abc import Mapping
from dataclasses import replace

import torch

from warmstart.composition.compose import outline
from warmstart.composition.composition import Composition
from warmstart.composition.composition_options import Share
from warmstart.composition.saved import KEY
from warmstart.doctor.finding import Check, Verdict
from warmstart.doctor.subject import Subject
from warmstart.seq2seq import Seq2Seq

__all__ = ["SHARING"]


def _run(subject: Subject) -> Verdict:
    composition, model = subject.composition, subject.model
    if composition is None or model is None:
        return Verdict(status="skipped", what=subject.absence)
    claimed = _claimed(subject)
    if claimed == composition.share:
        shared = _shared(composition)
        values = sum(
            parameter.numel()
            for name, parameter in model.model.named_parameters()
            if name in shared
        )
        what = "It says that nothing is shared, and nothing is."
        if shared:
            kind = "what its family shares" if composition.pretrained else f"'{claimed}' as it says"
            what = (
                f"It shares {kind}: {len(shared)} tensors, {values:,} values, serve twice or more "
                "and are stored once."
            )
        return Verdict(
            status="ok",
            what=what,
            figures={
                "share": str(claimed),
                "shared_tensors": len(shared),
                "shared_values": values,
            },
        )
    differing, largest = _differences(model, replace(composition, share=claimed))
    return Verdict(
        status="warning",
        what=f"The config says that it shares '{claimed}', but {differing} of the tensors that "
        f"should be one differ, by up to {largest:.3g}; it is loaded with nothing shared.",
        remedy="If it should share, take a copy that was saved with the sharing in place. If not, "
        "write what is there: warmstart export MODEL --format transformers -o DIR",
        figures={
            "share": str(claimed),
            "differing_tensors": differing,
            "largest_difference": largest,
        },
    )


def _claimed(subject: Subject) -> Share:
    """What the config says, whatever the tensors do."""
    config = subject.checkpoint.config
    ours = config.get(KEY)
    if isinstance(ours, Mapping):
        share: Share = ours["composition"].get("share", "none")
        return share
    return "all" if config.get("tie_encoder_decoder") else "none"


def _groups(composition: Composition) -> list[list[str]]:
    """Names that stand for one tensor, for each that has several; a tied head is none."""
    groups: dict[int, list[str]] = {}
    for name, parameter in outline(composition).named_parameters(remove_duplicate=False):
        if name != "head.weight":
            groups.setdefault(id(parameter), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _shared(composition: Composition) -> set[str]:
    """The first name of each shared tensor."""
    return {names[0] for names in _groups(composition)}


def _differences(model: Seq2Seq, claimed: Composition) -> tuple[int, float]:
    """How many of the tensors that should be one are not, and the largest difference."""
    parameters = dict(model.model.named_parameters(remove_duplicate=False))
    differing, largest = 0, 0.0
    for first, *others in _groups(claimed):
        pairs = [(parameters[first], parameters[other]) for other in others]
        if all(torch.equal(a, b) for a, b in pairs):
            continue
        differing += 1
        largest = max(largest, *(float((a - b).detach().abs().max()) for a, b in pairs))
    return differing, largest


SHARING = Check(
    name="sharing",
    why="A model that shares has half the parameters and trains them from both sides; one that "
    "only says so is another model than it is taken for.",
    run=_run,
)
