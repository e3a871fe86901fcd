"""Do the weights agree with the sharing in the config?"""

from collections.abc import Mapping
from dataclasses import replace

import torch

from warmstart.composition.compose import outline
from warmstart.composition.composition import Composition
from warmstart.composition.composition_options import Share
from warmstart.composition.saved_model import KEY
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
        what = "Nothing is shared, as in its config."
        if shared:
            kind = (
                "as its family does" if composition.pretrained else f"'{claimed}', as in its config"
            )
            what = (
                f"It shares {kind}: {len(shared)} tensors, {values:,} values, have two or more "
                "uses."
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
        what=f"Its config shares '{claimed}', but {differing} of the tensors that should be shared "
        f"differ, by up to {largest:.3g}; it is loaded with nothing shared.",
        remedy="If it should share, take a copy that was saved with shared tensors. If not, write "
        "it as it is: warmstart export MODEL --format transformers -o DIR",
        figures={
            "share": str(claimed),
            "differing_tensors": differing,
            "largest_difference": largest,
        },
    )


def _claimed(subject: Subject) -> Share:
    """The sharing in the config, whatever the tensors are."""
    config = subject.checkpoint.config
    ours = config.get(KEY)
    if isinstance(ours, Mapping):
        share: Share = ours["composition"].get("share", "none")
        return share
    return "all" if config.get("tie_encoder_decoder") else "none"


def _groups(composition: Composition) -> list[list[str]]:
    """The names of each shared tensor, without a tied head."""
    groups: dict[int, list[str]] = {}
    for name, parameter in outline(composition).named_parameters(remove_duplicate=False):
        if name != "head.weight":
            groups.setdefault(id(parameter), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _shared(composition: Composition) -> set[str]:
    """The first name of each shared tensor."""
    return {names[0] for names in _groups(composition)}


def _differences(model: Seq2Seq, claimed: Composition) -> tuple[int, float]:
    """The number of tensors that should be shared and differ, and the largest difference."""
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
    "shares only in its config is a different model.",
    run=_run,
)
