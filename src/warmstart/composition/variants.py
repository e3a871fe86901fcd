"""The paper's models by name: Rothe, Narayan and Severyn (2020), section 3. Loads no torch.

All are in the paper's layout: a plain tied head, no pooler, and one embedding for both halves
wherever their vocabularies allow (bert2bert and its relatives; not bert2gpt and roberta2gpt).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from warmstart.composition.composition_options import (
    RANDOM,
    CheckpointName,
    LmHead,
    Share,
    Size,
    is_random,
)
from warmstart.errors import UsageError, did_you_mean
from warmstart.validation import Check, validate

if TYPE_CHECKING:  # recipes and the command line ask for names alone
    from warmstart.composition.composition import Composition
    from warmstart.composition.provenance import Provenance
    from warmstart.families.family import Config

__all__ = [
    "CHECKPOINTS",
    "VARIANTS",
    "VariantOptions",
    "checkpoint_kind",
    "published_config",
    "variant",
    "variant_composition",
    "variant_provenance",
]

# The published checkpoint of each kind and size.
CHECKPOINTS: Mapping[tuple[str, Size], str] = {
    ("bert", "base"): "google-bert/bert-base-cased",
    ("bert", "large"): "google-bert/bert-large-cased",
    ("roberta", "base"): "FacebookAI/roberta-base",
    ("roberta", "large"): "FacebookAI/roberta-large",
    ("gpt2", "base"): "openai-community/gpt2",
    ("gpt2", "large"): "openai-community/gpt2-medium",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One of the paper's models.

    Attributes:
        name: the paper's.
        encoder: kind of checkpoint, with ``random:`` before it for random weights; None: no
            encoder.
        decoder: as `encoder`, never None.
        share: which parameters the halves share.
        description: one line for ``warmstart list variants``.
    """

    name: str
    encoder: str | None
    decoder: str
    share: Share
    description: str

    def kinds(self) -> tuple[str, ...]:
        """The kinds of checkpoint that it needs, each once."""
        halves = (self.encoder, self.decoder)
        return tuple(dict.fromkeys(checkpoint_kind(half) for half in halves if half is not None))


VARIANTS: tuple[Variant, ...] = (
    Variant(
        name="rnd2rnd",
        encoder="random:bert",
        decoder="random:bert",
        share="embeddings",
        description="nothing from a checkpoint",
    ),
    Variant(
        name="bert2rnd",
        encoder="bert",
        decoder="random:bert",
        share="embeddings",
        description="encoder and embeddings from BERT, decoder random",
    ),
    Variant(
        name="rnd2bert",
        encoder="random:bert",
        decoder="bert",
        share="embeddings",
        description="encoder random, decoder and embeddings from BERT",
    ),
    Variant(
        name="bert2bert",
        encoder="bert",
        decoder="bert",
        share="embeddings",
        description="both halves from BERT",
    ),
    Variant(
        name="bertShare",
        encoder="bert",
        decoder="bert",
        share="all",
        description="both halves from BERT, all their parameters shared",
    ),
    Variant(
        name="robertaShare",
        encoder="roberta",
        decoder="roberta",
        share="all",
        description="both halves from RoBERTa, all their parameters shared",
    ),
    Variant(
        name="rnd2gpt",
        encoder="random:bert",
        decoder="gpt2",
        share="embeddings",
        description="encoder random with GPT-2's embeddings, decoder from GPT-2",
    ),
    Variant(
        name="bert2gpt",
        encoder="bert",
        decoder="gpt2",
        share="none",
        description="encoder from BERT, decoder from GPT-2, two vocabularies",
    ),
    Variant(
        name="roberta2gpt",
        encoder="roberta",
        decoder="gpt2",
        share="none",
        description="encoder from RoBERTa, decoder from GPT-2",
    ),
    Variant(
        name="gpt",
        encoder=None,
        decoder="gpt2",
        share="none",
        description="GPT-2 alone, the source as prefix of the target",
    ),
)


def variant(name: str) -> Variant:
    """A variant by its name in the paper.

    Raises:
        UsageError: if there is no such variant; it names the nearest.
    """
    for candidate in VARIANTS:
        if candidate.name == name:
            return candidate
    names = [candidate.name for candidate in VARIANTS]
    raise UsageError(f"There is no variant {name!r}; {did_you_mean(name, names)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantOptions:
    """Options of `Seq2Seq.from_variant`, and the section `model` of a recipe, with a variant.

    Raises:
        UsageError: if there is no such variant or kind of checkpoint.
    """

    KEYWORD_HINTS: ClassVar[Mapping[str, str]] = {"name": "give variant=NAME."}

    variant: Annotated[str, Check(lambda name: variant(str(name)).name)] = field(kw_only=False)
    """One of the paper's models, see ``warmstart list variants``."""

    checkpoints: Mapping[str, CheckpointName] = field(default_factory=dict)
    """Checkpoints by kind: bert, roberta, gpt2. Default: the published ones."""

    size: Size = "base"
    """Size of the published checkpoints: base has 12 layers, large 24."""

    lm_head: LmHead = "tied"
    """Head: tied, the word embedding alone, as in the paper; or checkpoint, the decoder family's
    own."""

    seed: int = 0
    """Seed of the random tensors."""

    def __post_init__(self) -> None:
        validate(self)
        kinds = variant(self.variant).kinds()
        for kind in self.checkpoints:
            if kind not in kinds:
                raise UsageError(
                    f"The variant {self.variant} has no checkpoint of the kind {kind!r}; "
                    f"{did_you_mean(kind, kinds)}"
                )


def variant_composition(name: str, configs: "Mapping[str, Config]") -> "Composition":
    """The architecture of a variant, from the configs of its checkpoints.

    Args:
        name: of the variant.
        configs: config.json by kind ("bert", "roberta", "gpt2").
    """
    from warmstart.composition.composition import Composition

    chosen = variant(name)
    embedding: Literal["own", "decoder"] = "own"
    if chosen.share != "none" and len(chosen.kinds()) > 1:
        embedding = "decoder"  # a random encoder takes the decoder's vocabulary
    return Composition(
        encoder=None if chosen.encoder is None else configs[checkpoint_kind(chosen.encoder)],
        decoder=configs[checkpoint_kind(chosen.decoder)],
        share=chosen.share,
        lm_head="tied",
        embedding=embedding,
    )


def variant_provenance(name: str, size: Size = "base") -> "Provenance":
    """The provenance of a variant, from the published configs alone, without any weights.

    Args:
        name: of the variant.
        size: "base" (12 layers) or "large" (24).
    """
    from warmstart.composition.compose import plan
    from warmstart.composition.half import Source

    chosen = variant(name)
    names = {kind: CHECKPOINTS[kind, size] for kind in chosen.kinds()}
    configs = {kind: published_config(hub.rpartition("/")[2]) for kind, hub in names.items()}
    encoder, decoder = (
        None if half is None or is_random(half) else Source(checkpoint=names[half])
        for half in (chosen.encoder, chosen.decoder)
    )
    return plan(variant_composition(name, configs), encoder, decoder)


@cache
def published_config(name: str) -> dict[str, Any]:
    """The config of a published checkpoint, which is part of the package.

    Args:
        name: its name on the hub without the owner, such as "bert-base-cased".
    """
    file = resources.files("warmstart.composition") / "configs" / f"{name}.json"
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return config


def checkpoint_kind(half: str) -> str:
    """The kind of checkpoint of a half: "bert" for both "bert" and "random:bert"."""
    return half.removeprefix(RANDOM)
