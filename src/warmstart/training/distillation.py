"""The teacher of a run: a trained model whose distributions the student learns."""

import torch
from transformers import PreTrainedTokenizerBase

from warmstart.errors import UsageError
from warmstart.model.sequences import Sequences
from warmstart.model.soft_loss import TeacherStates
from warmstart.seq2seq import Seq2Seq
from warmstart.training.batches import TokenizedExamples
from warmstart.training.train_config import TrainConfig

__all__ = ["Teacher", "load_teacher"]


class Teacher:
    """A model that scores its student's targets. Not a module, so that it is never trained.

    Args:
        model: the teacher.
        config: its share of the loss, and the temperature.
    """

    def __init__(self, model: Seq2Seq, config: TrainConfig) -> None:
        self.model = model.model.eval().requires_grad_(False)
        self.share = config.distillation_weight
        self.temperature = config.distillation_temperature

    @torch.no_grad()
    def states(self, source: Sequences, target: Sequences) -> TeacherStates:
        """The hidden states of a batch, with the head that scores them."""
        return TeacherStates(
            head=self.model.head,
            hidden=self.model.states(source, target),
            share=self.share,
            temperature=self.temperature,
        )


def load_teacher(
    student: Seq2Seq, examples: TokenizedExamples, config: TrainConfig, *, weights: bool = True
) -> Teacher | None:
    """The teacher that the settings name, on the student's device; None if there is no teacher.

    Args:
        student: the model being trained.
        examples: of the training split.
        config: names the teacher.
        weights: False: reads none; see `Seq2Seq.from_pretrained`.

    Raises:
        CheckpointError: if it cannot be loaded.
        UsageError: if its vocabularies differ from the student's, or its limits are shorter.
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
                f"The {side} vocabulary of the teacher {config.teacher} differs from the model's "
                f"({len(theirs)} and {len(ours)} tokens), but distributions can only be learnt "
                "over the same tokens; use a teacher with the model's tokenizers, or train on the "
                "teacher's outputs: warmstart data pseudo-labels."
            )
    rows = [each.model.config.decoder.embedding.vocabulary for each in (teacher, student)]
    special = [
        (each.tokenizers.special.start, each.tokenizers.special.end) for each in (teacher, student)
    ]
    if rows[0] != rows[1] or special[0] != special[1]:
        raise UsageError(
            f"The teacher {config.teacher} scores {rows[0]} tokens and has start and end "
            f"{special[0]}, the model {rows[1]} and {special[1]}; use a teacher with the same."
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
