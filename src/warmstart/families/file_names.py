"""Names of tensors in files: without wrappers, and apart from heads for other tasks."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from warmstart.families.family import Family

__all__ = ["FileNames", "file_names"]

# Parts of names added by torch.compile, DataParallel, FSDP and activation checkpointing, anywhere.
_INNER = ("_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# Prefixes added by adapters, sentence-transformers and modules around a model.
_OUTER = ("", "base_model.model.", "0.auto_model.", "model.")


@dataclass(frozen=True, slots=True)
class FileNames:
    """A checkpoint's names.

    Attributes:
        spelled: names in the spelling of the rules -> in that of the files.
        outside: those of `spelled` that are of neither base model nor language-modelling head: a
            classifier's, for example.
    """

    spelled: Mapping[str, str]
    outside: tuple[str, ...]


def file_names(names: Iterable[str], family: Family, known: Collection[str]) -> FileNames:
    """A checkpoint's names, without the wrappers around its model.

    Args:
        names: as in the files.
        family: of the checkpoint.
        known: names of a complete checkpoint, in the spelling of the rules.
    """
    bare = {_without_inner(name): name for name in names}
    # The prefix with which most names are known; of several, the first.
    outer = max(
        _OUTER,
        key=lambda prefix: sum(family.strip(name.removeprefix(prefix)) in known for name in bare),
    )
    spelled, outside = {}, []
    inner = {name: family.modernize(name.removeprefix(outer)) for name in bare}
    has_prefix = any(modern.startswith(family.prefix) for modern in inner.values())
    for name, modern in inner.items():
        ours = modern.removeprefix(family.prefix)
        spelled[ours] = bare[name]
        in_base = not has_prefix or modern.startswith(family.prefix)
        in_head = ours.startswith(family.head_prefix)
        if not name.startswith(outer) or not (in_base or in_head or ours in known):
            outside.append(ours)
    return FileNames(spelled, tuple(outside))


def _without_inner(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _INNER)
