"""How the tensors in a saved model's files are named, beside what the rules say."""

from collections.abc import Mapping

from warmstart.checkpoint.files import Checkpoint
from warmstart.composition.composition import Composition, configure
from warmstart.families.family import Family

__all__ = ["ignored_names", "may_lack", "spelled_as_rules", "unused_names"]


def spelled_as_rules(checkpoint: Checkpoint, composition: Composition) -> Mapping[str, str]:
    """Tensors' names as the rules spell them -> as the files do."""
    seq2seq = composition.seq2seq_family
    if seq2seq is not None:
        tied = configure(composition).head.tied
        return {seq2seq.spell(name, tied=tied): name for name in checkpoint.files}
    spelled = {}
    for name in checkpoint.files:
        modern = name
        for family, start in _halves(composition):
            if name.startswith(start):  # one half's old spelling may be the other's own
                modern = family.modernize(modern)
        spelled[modern] = name
    return spelled


def may_lack(composition: Composition) -> tuple[str, ...]:
    """Our tensors that a file may lack, which are zero then."""
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
    """Patterns of what are no parameters, or copies of ones that are."""
    seq2seq = composition.seq2seq_family
    if seq2seq is not None:
        return list(seq2seq.ignored)
    return [
        f"{start}*{pattern}" for family, start in _halves(composition) for pattern in family.ignored
    ]


def _halves(composition: Composition) -> list[tuple[Family, str]]:
    """Each family with what its base model's names begin with in a saved model."""
    if composition.encoder_family is None:
        return [(composition.decoder_family, "")]
    return [(composition.encoder_family, "encoder."), (composition.decoder_family, "decoder.")]
