"""The teacher of a run: a trained model whose distributions another one learns."""

import torch
from transformers import PreTrainedTokenizerBase

from warmstart.errors import UsageError
from warmstart.model.sequences import Sequences
from warmstart.model.soft_loss import TeacherStates
from warmstart.seq2seq import Seq2Seq
from warmstart.training.batches import TokenizedExamples
from warmstart.training.config import TrainConfig

__all__ = ["Teacher", "load_teacher"]


class Teacher:
    """A model that scores what its student is to write. It is no module: nobody trains it.

    Args:
        model: the teacher.
        config: how much it counts.
    """

    def __init__(self, model: Seq2Seq, config: TrainConfig) -> None:
        self.model = model.model.eval().requires_grad_(False)
        self.share = config.distillation_weight
        self.temperature = config.distillation_temperature

    @torch.no_grad()
    def states(self, source: Sequences, target: Sequences) -> TeacherStates:
        """What it makes of a batch."""
        return TeacherStates(
            head=self.model.head,
            hidden=self.model.states(source, target),
            share=self.share,
            temperature=self.temperature,
        )


def load_teacher(
    student: Seq2Seq, examples: TokenizedExamples, config: TrainConfig, *, weights: bool = True
) -> Teacher | None:
    """The teacher that the settings name, on the student's device; None: they name none.

    Args:
        student: that is to learn from it.
        examples: that it is to read.
        config: names it.
        weights: False: reads none; see `Seq2Seq.from_pretrained`.

    Raises:
        CheckpointError: if it cannot be loaded.
        UsageError: if it reads or writes other tokens than the student, or not as many.
    """
    if config.teacher is None:
        return None
    teacher = Seq2Seq.from_pretrained(config.teacher, device=student.device, weights=weights)
    sides = (
        ("source", teacher.tokenizers.source, student.tokenizers.source),
        ("target", teacher.tokenizers.target, student.tokenizers.target),
    )
    for side, theirs, ours in sides:
        if not _same_tokens(theirs, ours):
            raise UsageError(
                f"The teacher {config.teacher} has another {side} vocabulary than the model "
                f"({len(theirs)} and {len(ours)} tokens), and scores of tokens can only be learnt "
                "where tokens are the same; take a teacher with the model's tokenizers, or train "
                "on what it writes: warmstart data pseudo-labels."
            )
    rows = [each.model.config.decoder.embedding.vocabulary for each in (teacher, student)]
    special = [
        (each.tokenizers.special.start, each.tokenizers.special.end) for each in (teacher, student)
    ]
    if rows[0] != rows[1] or special[0] != special[1]:
        raise UsageError(
            f"The teacher {config.teacher} scores {rows[0]} tokens and has start and end "
            f"{special[0]}, the model {rows[1]} and {special[1]}; take a teacher with the same."
        )
    for side, lengths, limit in (
        ("source", examples.rows.source_lengths, teacher.source_limit),
        ("target", examples.rows.target_lengths, teacher.target_limit),
    ):
        longest = min(lengths.longest, lengths.limit or lengths.longest)
        if limit is not None and longest > limit:
            raise UsageError(
                f"The teacher {config.teacher} reads {limit} {side} tokens at most, and the "
                f"longest {side} has {longest}; set task.max_{side}_length to {limit}."
            )
    return Teacher(teacher, config)


def _same_tokens(theirs: PreTrainedTokenizerBase, ours: PreTrainedTokenizerBase) -> bool:
    return theirs is ours or theirs.get_vocab() == ours.get_vocab()
