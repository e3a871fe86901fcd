"""Facts of a checkpoint, a model or a plan for `warmstart inspect`, as JSON values.

Reads configurations, headers and tokenizers, never a tensor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from math import prod
from typing import Any

from transformers import PreTrainedTokenizerBase

from warmstart.checkpoint.files import Checkpoint, open_checkpoint, open_headers
from warmstart.composition.blueprint import Blueprint
from warmstart.composition.compose import outline
from warmstart.composition.composition import Composition, configure
from warmstart.composition.composition_options import Share, Size
from warmstart.composition.model_folder import ModelFolder, open_model_folder
from warmstart.composition.provenance import Provenance
from warmstart.composition.saved_model import is_model
from warmstart.composition.sharing import check_sharing
from warmstart.composition.variants import variant, variant_provenance
from warmstart.errors import CheckpointError, CompositionError
from warmstart.families.catalogue import family_of
from warmstart.families.text_part import text_config
from warmstart.generation.saved import read_generation, saved_settings
from warmstart.model.config import StackConfig
from warmstart.text.special_tokens import SpecialTokens
from warmstart.text.tokenizer_files import load_tokenizer
from warmstart.text.tokenizer_pair import TokenizerPair, same_vocabulary

__all__ = ["Facts", "facts_of", "facts_of_plan", "facts_of_variant", "with_sharing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts of one checkpoint, model or plan.

    Attributes:
        name: as the user wrote it.
        values: name of the fact -> a JSON value.
        tensors: name and shape, and origin if known.
        provenance: of a composed model, if saved.
        checkpoint: the source of the facts, for a single checkpoint.
        tokenizer: of the single checkpoint, if it can be read.
    """

    name: str
    values: Mapping[str, Any]
    tensors: list[dict[str, Any]]
    provenance: Provenance | None = None
    checkpoint: Checkpoint | None = None
    tokenizer: PreTrainedTokenizerBase | None = field(default=None, repr=False)


def facts_of(name: str) -> Facts:
    """Facts of a folder or hub id, of a checkpoint to compose or a composed model.

    Raises:
        CheckpointError: if it cannot be read or is of no supported family.
    """
    checkpoint = open_headers(name)
    if is_model(checkpoint.config):
        # The tensors are needed, too: only they show whether the halves share.
        return _of_model(open_model_folder(open_checkpoint(name)))
    return _of_checkpoint(checkpoint)


def facts_of_variant(name: str, size: Size) -> Facts:
    """Facts of one of the paper's models, from the published configurations alone.

    Raises:
        UsageError: if there is no such variant.
    """
    chosen = variant(name)
    provenance = variant_provenance(name, size)
    values = {
        "kind": "variant, from configurations alone",
        "made_of": chosen.description,
        "encoder": chosen.encoder,
        "decoder": chosen.decoder,
        "share": chosen.share,
        "parameters": provenance.total,
    }
    return Facts(
        name=f"{name} {size}",
        values=values,
        tensors=provenance.to_json()["tensors"],
        provenance=provenance,
    )


def facts_of_plan(name: str, blueprint: Blueprint) -> Facts:
    """Facts of a planned composition."""
    provenance = blueprint.provenance()
    return Facts(
        name=name,
        values={
            "kind": "planned composition",
            **_joined(blueprint.composition),
            "parameters": provenance.total,
            **_tokens(blueprint.tokenizers, blueprint.tokenizers.special),
        },
        tensors=provenance.to_json()["tensors"],
        provenance=provenance,
    )


def with_sharing(found: Sequence[Facts]) -> list[Facts]:
    """Adds to each checkpoint the parts that it can share with each of the others."""
    extended = []
    for facts in found:
        others = {
            f"shares_with {other.name}": _sharing(
                facts.checkpoint,
                other.checkpoint,
                one_vocabulary=facts.tokenizer is not None
                and other.tokenizer is not None
                and same_vocabulary(facts.tokenizer, other.tokenizer),
            )
            for other in found
            if facts.checkpoint is not None
            and other.checkpoint is not None
            and other.checkpoint.folder != facts.checkpoint.folder
        }
        extended.append(replace(facts, values={**facts.values, **others}))
    return extended


def _sharing(encoder: Checkpoint, decoder: Checkpoint, *, one_vocabulary: bool) -> str:
    """The kinds of sharing possible between two checkpoints, or the reason for none."""
    kinds: list[str] = []
    reasons: list[str] = []
    choices: tuple[Share, ...] = ("embeddings", "layers", "all")
    for share in choices:
        try:
            composition = Composition(encoder=encoder.config, decoder=decoder.config, share=share)
            check_sharing(configure(composition), share)
            if share != "layers" and not one_vocabulary:
                raise CompositionError("their vocabularies differ.")
        except (CheckpointError, CompositionError) as error:
            reasons.append(str(error))
        else:
            kinds.append(share)
    return ", ".join(kinds) if kinds else f"no: {reasons[0]}"


def _of_checkpoint(checkpoint: Checkpoint) -> Facts:
    config = text_config(checkpoint.config)
    family = family_of(config, checkpoint.name)
    # Buffers, and copies of tied tensors, are not parameters.
    shapes = {
        name: shape
        for name, shape in checkpoint.shapes().items()
        if not any(fnmatchcase(family.strip(name), pattern) for pattern in family.ignored)
    }
    values: dict[str, Any] = {
        "kind": "checkpoint",
        **_architecture(family.name, family.stack(config)),
        "pretrained_as": family.pretrained_as,
        "parameters": sum(map(prod, shapes.values())),
        "tensors": len(shapes),
    }
    tokenizer = None
    try:
        tokenizer = load_tokenizer(checkpoint.folder, "the tokenizer")
        pair = TokenizerPair.of(tokenizer, tokenizer, checkpoint.config)
        values |= _tokens(pair, pair.special)
    except CheckpointError as error:
        values["tokenizer"] = str(error)
    composed = Composition(encoder=checkpoint.config, decoder=checkpoint.config)
    sees, gains = "yes", "gains cross-attention"
    if family.pretrained_as == "encoder":
        gains = f"becomes causal, {gains}"
    else:
        sees = "its causal mask is lifted"
    values |= {
        "as_encoder": _possible(composed, sees),
        "as_decoder": _possible(composed, gains),
        "shares_with_itself": _sharing(checkpoint, checkpoint, one_vocabulary=True),
    }
    return Facts(
        name=checkpoint.name,
        values=values,
        tensors=_tensors(shapes),
        checkpoint=checkpoint,
        tokenizer=tokenizer,
    )


def _of_model(folder: ModelFolder) -> Facts:
    checkpoint, composition = folder.checkpoint, folder.composition
    values: dict[str, Any] = {
        "kind": "sequence-to-sequence model" + ", pre-trained whole" * composition.pretrained,
        **_joined(composition),
        "parameters": sum(parameter.numel() for parameter in outline(composition).parameters()),
        "tensors": len(checkpoint.files),
    }
    provenance = folder.provenance()
    return Facts(
        name=checkpoint.name,
        values=values | _text(folder),
        tensors=(
            _tensors(checkpoint.shapes()) if provenance is None else provenance.to_json()["tensors"]
        ),
        provenance=provenance,
    )


def _joined(composition: Composition) -> dict[str, Any]:
    """Facts of the two halves and their connection."""
    config = configure(composition)
    options = composition.options()
    encoder_layers = options.pop("encoder_layers", None)
    decoder_layers = options.pop("decoder_layers", None)
    encoder_name, decoder_name = composition.family_names
    values: dict[str, Any] = {}
    if config.encoder is not None and encoder_name is not None:
        values["encoder"] = _architecture(encoder_name, config.encoder)
        if encoder_layers is not None:
            values["encoder"]["layers_taken"] = list(encoder_layers)
    values["decoder"] = _architecture(decoder_name, config.decoder)
    if decoder_layers is not None:
        values["decoder"]["layers_taken"] = list(decoder_layers)
    return values | {
        **options,
        "bridge": config.bridge,
        "in_transformers": composition.in_transformers(),
    }


def _text(folder: ModelFolder) -> dict[str, Any]:
    """Facts of a model's tokenizers and decoding defaults."""
    try:
        pair = folder.tokenizers()
    except CheckpointError as error:
        return {"tokenizer": str(error)}
    settings = saved_settings(folder.checkpoint, folder.composition)
    generation, special = read_generation(settings, pair.special)
    return {**_tokens(pair, special), "generation": asdict(generation)}


def _architecture(family: str, stack: StackConfig) -> dict[str, Any]:
    return {
        "family": family,
        "layers": stack.layers,
        "hidden_size": stack.hidden_size,
        "attention_heads": stack.attention.heads,
        "feed_forward_size": stack.feed_forward.size,
        "vocabulary": stack.embedding.vocabulary,
        "positions": stack.position_limit,
    }


def _tokens(pair: TokenizerPair, special: SpecialTokens) -> dict[str, Any]:
    values = {"tokenizer": _tokenizer(pair.source)}
    if pair.target is not pair.source:
        values["target_tokenizer"] = _tokenizer(pair.target)
    tokens = {
        name: f"{pair.target.convert_ids_to_tokens(token)} ({token})"
        for name, token in asdict(special).items()
    }
    return {**values, "target_tokens": tokens}


def _tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    return f"{len(tokenizer)} tokens ({type(tokenizer).__name__})"


def _possible(composition: Composition, how: str) -> str:
    try:
        configure(composition)
    except (CheckpointError, CompositionError) as error:
        return f"no: {error}"
    return how


def _tensors(shapes: Mapping[str, tuple[int, ...]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": list(shape), "count": prod(shape)} for name, shape in shapes.items()
    ]
