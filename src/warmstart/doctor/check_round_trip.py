"""Is a model the same after saving and loading?"""

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from warmstart.doctor.finding import Check, Complaint, Verdict, judge
from warmstart.doctor.subject import Pair, Subject
from warmstart.errors import OutputError
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

__all__ = ["ROUND_TRIP"]

_TEXTS = 4  # of a small batch
_LENGTH = 32  # most tokens of each


def _run(subject: Subject) -> Verdict:
    model = subject.model
    if model is None:
        return Verdict(status="skipped", what=subject.absence)
    try:
        with tempfile.TemporaryDirectory(prefix="warmstart-doctor-") as folder:
            model.save_pretrained(Path(folder) / "model")
            again = Seq2Seq.from_pretrained(Path(folder) / "model", device=model.device)
    except OutputError as error:
        return Verdict(status="skipped", what=f"It could not be saved for comparison: {error}")
    pairs = list(subject.pairs[:_TEXTS])
    tensors = dict(model.model.named_parameters(remove_duplicate=False))
    others = dict(again.model.named_parameters(remove_duplicate=False))
    changed = [
        name
        for name in tensors.keys() | others.keys()
        if name not in tensors or name not in others or not _equal(tensors[name], others[name])
    ]
    logits, logits_again = _logits(model, pairs), _logits(again, pairs)
    same_logits = _equal(logits, logits_again)
    complaints = list(_words(model, again, pairs))
    if changed:
        complaints.append(_complaint(f"{len(changed)} tensors change: {sorted(changed)[0]}, ..."))
    if not same_logits:
        complaints.append(_complaint("The logits change."))
    return judge(
        complaints,
        fine=f"Saved and loaded again: {len(tensors)} tensors bit for bit, the logits of "
        f"{len(logits)} tokens, the tokenizers and the settings are the same.",
        figures={
            "tensors": len(tensors),
            "changed_tensors": len(changed),
            "logit_tokens": len(logits),
            "logits_equal": "yes" if same_logits else "no",
        },
    )


def _words(model: Seq2Seq, again: Seq2Seq, pairs: list[Pair]) -> list[Complaint]:
    """Changes in everything but the tensors."""
    complaints = []
    if _rows(model, pairs) != _rows(again, pairs):
        complaints.append(_complaint("The tokenizers split texts differently."))
    if model.tokenizers.special != again.tokenizers.special:
        complaints.append(_complaint("The special tokens change."))
    if model.generation != again.generation:
        complaints.append(_complaint("The decoding settings change."))
    if model.composition.options() != again.composition.options():
        complaints.append(_complaint("The composition changes."))
    return complaints


def _complaint(what: str) -> Complaint:
    return Complaint(
        status="problem",
        what=f"Saved and loaded again it is another model. {what}",
        remedy="Keep the folder as it is, and report the output of `warmstart inspect`: saving "
        "must not change a model.",
    )


def _rows(model: Seq2Seq, pairs: list[Pair]) -> tuple[list[list[int]], list[list[int]]]:
    sources = model.tokenizers.encode_sources(
        [source for source, _ in pairs], _within(model.source_limit)
    )
    targets = model.tokenizers.encode_targets(
        [target for _, target in pairs], _within(model.target_limit)
    )
    return sources.rows, targets.rows


def _within(limit: int | None) -> int:
    return _LENGTH if limit is None else min(limit, _LENGTH)


@torch.inference_mode()
def _logits(model: Seq2Seq, pairs: list[Pair]) -> Tensor:
    """Logits of the targets of some pairs. Shape: [T, V]"""
    sources, targets = _rows(model, pairs)
    start = model.tokenizers.special.start
    logits: Tensor = model.model.eval()(
        Sequences.of(sources, model.device),
        Sequences.of([[start, *row[:-1]] for row in targets], model.device),
    )
    return logits


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether tensors are equal bit for bit, so that NaN equals itself."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(
        a.detach().contiguous().flatten().view(torch.uint8),
        b.detach().contiguous().flatten().view(torch.uint8),
    )


ROUND_TRIP = Check(
    name="round trip",
    why="Anything that saving changes is lost, and earlier results are not those of the model that "
    "others load.",
    run=_run,
)
