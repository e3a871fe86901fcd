"""Names of tensors in the files of a saved model, beyond the rename rules."""

from collections.abc import Mapping

from warmstart.checkpoint.files import Checkpoint
from warmstart.composition.composition import Composition, configure
from warmstart.families.family import Family

__all__ = ["ignored_names", "optional_tensors", "rule_names", "unused_names"]


def rule_names(checkpoint: Checkpoint, composition: Composition) -> Mapping[str, str]:
    """Names of tensors in the spelling of the rules -> in that of the files."""
    seq2seq = composition.seq2seq_family
    if seq2seq is not None:
        tied = configure(composition).head.tied
        return {seq2seq.spell(name, tied=tied): name for name in checkpoint.files}
    spelled = {}
    for name in checkpoint.files:
        modern = name
        for family, start in _halves(composition):
            if name.startswith(start):  # an old spelling of one half may be current in the other
                modern = family.modernize(modern)
        spelled[modern] = name
    return spelled


def optional_tensors(composition: Composition) -> tuple[str, ...]:
    """Our tensors that files may lack; they are zero then."""
    seq2seq = composition.seq2seq_family
    return () if seq2seq is None else seq2seq.optional


def unused_names(composition: Composition) -> list[str]:
    """Patterns of tensors that are dropped and reported."""
    if composition.pretrained:
        return []
    return [
        f"{start}*{pattern}" for family, start in _halves(composition) for pattern in family.unused
    ]


def ignored_names(composition: Composition) -> list[str]:
    """Patterns of tensors that are not parameters, or copies of parameters."""
    seq2seq = composition.seq2seq_family
    if seq2seq is not None:
        return list(seq2seq.ignored)
    return [
        f"{start}*{pattern}" for family, start in _halves(composition) for pattern in family.ignored
    ]


def _halves(composition: Composition) -> list[tuple[Family, str]]:
    """Each family, with the prefix of its base model's names in a saved model."""
    if composition.encoder_family is None:
        return [(composition.decoder_family, "")]
    return [(composition.encoder_family, "encoder."), (composition.decoder_family, "decoder.")]
