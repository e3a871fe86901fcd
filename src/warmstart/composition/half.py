"""Matches each half of a composition with the tensors of its checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor

from warmstart.checkpoint.files import Checkpoint
from warmstart.checkpoint.rename import Location, Rule, locate, match
from warmstart.composition.composition import Composition, Layers
from warmstart.families.family import Family
from warmstart.families.file_names import file_names
from warmstart.model.encoder_decoder import EncoderDecoder

__all__ = ["Half", "Source", "match_halves"]

Shapes = Mapping[str, tuple[int, ...]]
_NEVER_IN_A_CHECKPOINT = tuple(
    f".cross_attention.{name}" for name in ("gate", "qkv.weight", "qkv.bias")
)
_VOCABULARY = ("embedding.word.weight", "head.weight", "head.bias")  # one row per token


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The checkpoint of a half.

    Attributes:
        checkpoint: a checkpoint; or a name, which stands for one with every tensor of the half's
            config, so that configs alone suffice.
        kept_rows: if the vocabulary is replaced: the checkpoint's row for each row, or -1 for a new
            one. None: the checkpoint's vocabulary. Shape: [V]
    """

    checkpoint: Checkpoint | str
    kept_rows: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """The tensors of a half, matched with those of its checkpoint.

    Attributes:
        source: name of the checkpoint.
        found: location of each tensor, in the spelling of the family's rules, by our name in the
            whole model.
        unused: tensors dropped on purpose.
        spelled: their names in the spelling of the rules -> in that of the checkpoint.
        available: shapes of the checkpoint's tensors, in the spelling of the rules.
        kept_rows: see `Source`.
    """

    source: str
    found: Mapping[str, Location]
    unused: tuple[str, ...]
    spelled: Mapping[str, str]
    available: Shapes
    kept_rows: Tensor | None

    def rows_of(self, ours: str) -> Tensor | None:
        """`kept_rows` for a tensor with one row per token, None for another."""
        return self.kept_rows if ours.endswith(_VOCABULARY) else None


def match_halves(
    model: EncoderDecoder,
    composition: Composition,
    encoder: Source | None,
    decoder: Source | None,
) -> tuple[Half | None, Half | None]:
    """Matches both halves with their checkpoints, strictly; None stays None.

    Raises:
        ConversionError: if a checkpoint does not fit its config.
    """
    shapes = {
        name: tuple(parameter.shape)
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if not _has_no_source(name, model)
    }
    encoder_half = decoder_half = None
    if encoder is not None:
        family, stack = composition.encoder_family, model.config.encoder
        assert family is not None and stack is not None
        encoder_half = _match(
            encoder,
            family,
            family.rules(stack),
            {name: shape for name, shape in shapes.items() if name.startswith("encoder.")},
            unused=(*family.unused, *family.head_patterns),
            layers=composition.encoder_layers,
        )
    if decoder is not None:
        family = composition.decoder_family
        drops_head = composition.lm_head == "tied"
        decoder_half = _match(
            decoder,
            family,
            family.rules(model.config.decoder),
            {
                name: shape
                for name, shape in shapes.items()
                if name.startswith(("decoder.", "head."))
            },
            unused=(*family.unused, *family.head_patterns) if drops_head else family.unused,
            layers=composition.decoder_layers,
        )
    return encoder_half, decoder_half


def _has_no_source(name: str, model: EncoderDecoder) -> bool:
    """Whether no checkpoint has a tensor of this name, or it has another name there.

    Cross-attention that shares the projections of self-attention has them under that name.
    """
    tied_head = name == "head.weight" and model.config.head.tied
    return tied_head or name.endswith(_NEVER_IN_A_CHECKPOINT)


def _match(
    source: Source,
    family: Family,
    rules: Sequence[Rule],
    expected: Shapes,
    *,
    unused: Sequence[str],
    layers: Layers | None,
) -> Half:
    """Matches one half with its checkpoint.

    Cross-attention, the head and the pooler are random if the checkpoint has no part of them. A
    head for another task, such as a classifier, is unused.
    """
    checkpoint = source.checkpoint
    spelled: Mapping[str, str] = {}
    outside: tuple[str, ...] = ()
    # Names as in the checkpoint's own stack: without the half, and with its layer numbers.
    whole = {_in_checkpoint(name, layers): name for name in expected}
    bare = {name: expected[whole[name]] for name in whole}
    if isinstance(checkpoint, str):
        name = checkpoint
        available = {
            theirs: shape
            for ours, ours_shape in bare.items()
            if ".cross_attention." not in ours
            for location in [locate(ours, rules)]
            for theirs, shape in zip(location.names, location.shapes(ours_shape), strict=True)
        }
    else:
        name = checkpoint.name
        known = {piece for ours in bare for piece in locate(ours, rules).names}
        names_in_files = file_names(checkpoint.files, family, known)
        spelled = _with_tied(names_in_files.spelled, family, rules)
        outside = names_in_files.outside
        shapes = checkpoint.shapes()
        available = {stripped: shapes[theirs] for stripped, theirs in spelled.items()}
        stack = family.stack(checkpoint.config)
        unused = (*unused, *_of_other_layers(rules, layers, stack.layers), *outside)
        if source.kept_rows is not None:
            rows = stack.embedding.vocabulary
            bare = {
                ours: (rows, *shape[1:]) if ours.endswith(_VOCABULARY) else shape
                for ours, shape in bare.items()
            }
    optional: list[str] = []
    for part in (".cross_attention.", ".head.", ".pooler."):
        names = [ours for ours in bare if part in f".{ours}"]
        pieces = {piece for ours in names for piece in locate(ours, rules).names}
        if not pieces & available.keys():
            optional += names
        elif part == ".head." and outside and not pieces <= available.keys():
            # Of a head for another task: ModernBERT's classifier has part of ours.
            bare = {ours: bare[ours] for ours in bare if ours not in names}
            unused = (*unused, *pieces)
    found = match(
        bare,
        available,
        rules,
        what=f"{name} ({family.name})",
        optional=optional,
        unused=unused,
        ignored=family.ignored,
    )
    return Half(
        source=name,
        found={whole[ours]: location for ours, location in found.found.items()},
        unused=found.unused,
        spelled=spelled,
        available=available,
        kept_rows=source.kept_rows,
    )


def _with_tied(
    spelled: Mapping[str, str], family: Family, rules: Sequence[Rule]
) -> Mapping[str, str]:
    """The names, with the word embedding's if it is stored under that of a tied head alone."""
    words = locate("embedding.word.weight", rules).names[0]
    tied = [
        name
        for name in spelled
        if name.startswith(family.head_prefix)
        and name.endswith(".weight")
        and any(fnmatchcase(name, pattern) for pattern in family.ignored)
    ]
    return {**spelled, words: spelled[tied[0]]} if words not in spelled and tied else spelled


def _in_checkpoint(name: str, layers: Layers | None) -> str:
    """Our name of a tensor in a stack of its own with all its layers."""
    bare = name.removeprefix("encoder.").removeprefix("decoder.")
    if layers is None or not bare.startswith("blocks."):
        return bare
    blocks, layer, rest = bare.split(".", 2)
    return f"{blocks}.{layers[int(layer)]}.{rest}"


def _of_other_layers(rules: Sequence[Rule], layers: Layers | None, count: int) -> list[str]:
    """Patterns of the tensors in layers that are not taken."""
    if layers is None:
        return []
    theirs = [
        name
        for rule in rules
        if "{i}" in rule.ours
        for name in ((rule.theirs,) if isinstance(rule.theirs, str) else rule.theirs)
    ]
    return [
        name.replace("{i}", str(layer)) + ending
        for layer in range(count)
        if layer not in layers
        for name in theirs
        for ending in ("", ".*")
    ]
