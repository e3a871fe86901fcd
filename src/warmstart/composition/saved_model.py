"""A composed model on disk, in the format of the ecosystem.

`config.json` holds the configs of both halves and, under ``warmstart``, how they are joined. If
transformers cannot represent the composition, the ``model_type`` of the decoder says so, and
transformers refuses it by that name.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from torch import Tensor, nn

from warmstart.checkpoint.files import CONFIG, Checkpoint
from warmstart.checkpoint.rename import Location, Rule, locate, match, to_ours, to_theirs
from warmstart.composition.compose import outline
from warmstart.composition.composition import Composition
from warmstart.composition.names import (
    ignored_names,
    optional_tensors,
    rule_names,
    unused_names,
)
from warmstart.composition.pretrained_seq2seq import pretrained_config_json, read_pretrained
from warmstart.composition.untied_head import with_head_of_file
from warmstart.errors import CheckpointError
from warmstart.families.catalogue import (
    family_of,
    refuse_encoder_decoder,
    seq2seq_family_of,
)
from warmstart.model.copies import materialize
from warmstart.model.encoder_decoder import EncoderDecoder

__all__ = [
    "KEY",
    "is_model",
    "needs_target_tokenizer",
    "open_model",
    "read_composition",
    "save_model",
]

logger = logging.getLogger(__name__)

KEY = "warmstart"  # of config.json
REFUSED = "warmstart-"  # before a model_type that transformers has to refuse
_ENCODER_DECODER = ("encoder-decoder", "encoder_decoder")  # both are in use
# Keys of the halves' configs that are not about the architecture.
_DROPPED = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")


def save_model(
    model: EncoderDecoder,
    composition: Composition,
    folder: Path,
    *,
    special: Mapping[str, int],
    two_tokenizers: bool,
    duplicate_shared: bool,
) -> None:
    """Writes config.json and the tensors.

    Args:
        model: the model.
        composition: its composition.
        folder: an existing folder.
        special: ids of the target's "start", "end" and "pad".
        two_tokenizers: whether the target has a tokenizer of its own.
        duplicate_shared: whether shared tensors are written under both names, for readers without
            sharing. If transformers can represent halves that share everything, they are in any
            case: it would make the encoder random where only the decoder's names are stored.
    """
    both_names = duplicate_shared or (composition.share == "all" and composition.in_transformers())
    stored = replace(composition, share="none") if duplicate_shared else composition
    config = _config_json(stored, special, two_tokenizers)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    rules = composition.rules()
    tensors: dict[str, Tensor] = {}
    for names, parameter in _groups(model):
        # Readers that share build the encoder from the decoder's names, so those are kept.
        for name in _stored(names) if both_names else _kept(names):
            pieces = to_theirs(locate(name, rules), parameter.detach().cpu())
            tensors.update({key: piece.clone() for key, piece in pieces.items()})
    huggingface_hub.save_torch_state_dict(tensors, folder)


def is_model(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of an encoder-decoder, not of a single checkpoint to compose."""
    composed = KEY in config or config.get("model_type") in _ENCODER_DECODER
    return composed or seq2seq_family_of(config) is not None


def read_composition(checkpoint: Checkpoint) -> Composition:
    """The composition of a model folder.

    Raises:
        CheckpointError: if it is not an encoder-decoder, or of families that are not supported.
    """
    config = checkpoint.config
    family = seq2seq_family_of(config)
    if family is not None:
        return read_pretrained(checkpoint, family)
    ours = config.get(KEY)
    if config["model_type"] not in _ENCODER_DECODER:
        if not isinstance(ours, Mapping):
            refuse_encoder_decoder(config, checkpoint.name)
            raise CheckpointError(
                f"{checkpoint.name} is a single checkpoint ({config['model_type']}), not an "
                "encoder-decoder. Compose it first: warmstart compose ENCODER DECODER -o DIR"
            )
        own = {key: value for key, value in config.items() if key != KEY}
        own["model_type"] = own["model_type"].removeprefix(REFUSED)
        return _with_head(Composition.from_options(None, own, ours["composition"]), checkpoint)
    encoder, decoder = config.get("encoder"), config.get("decoder")
    if not isinstance(encoder, Mapping) or not isinstance(decoder, Mapping):
        raise CheckpointError(
            f"{checkpoint.folder / CONFIG} lacks the config of its "
            f"{'encoder' if not isinstance(encoder, Mapping) else 'decoder'}; restore the file."
        )
    decoder = {**decoder, "model_type": str(decoder.get("model_type")).removeprefix(REFUSED)}
    family_of(encoder, f"The encoder of {checkpoint.name}")
    family_of(decoder, f"The decoder of {checkpoint.name}")
    if isinstance(ours, Mapping):
        composition = Composition.from_options(encoder, decoder, ours["composition"])
    else:
        tied = bool(config.get("tie_encoder_decoder"))
        composition = Composition(encoder=encoder, decoder=decoder, share="all" if tied else "none")
    if composition.share != "none" and not _is_tied(checkpoint, composition):
        composition = replace(composition, share="none")
    return _with_head(composition, checkpoint)


def _with_head(composition: Composition, checkpoint: Checkpoint) -> Composition:
    """The composition with the head of the file, where that is not the word embedding."""
    if composition.lm_head == "tied":
        return composition
    config = with_head_of_file(
        checkpoint,
        composition.decoder,
        composition.decoder_family,
        composition.rules(),
        rule_names(checkpoint, composition),
        decoder="decoder.",
    )
    return replace(composition, decoder=config)


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A model whose tensors are matched by name and shape, but not read.

    Attributes:
        outline: the model, on the meta device.
        checkpoint: its tensors.
        locations: location of each parameter's tensors, by its id, if the checkpoint has them.
        spelled: names of tensors in the spelling of the rules -> in that of the checkpoint.
    """

    outline: EncoderDecoder
    checkpoint: Checkpoint
    locations: Mapping[int, Location]
    spelled: Mapping[str, str]

    def value(self, parameter: Tensor) -> Tensor:
        """The checkpoint's value of a parameter of the outline, read again.

        It may be a view of the file's memory: copy it to keep it.
        """
        location = self.locations.get(id(parameter))
        if location is None:
            return torch.zeros(parameter.shape)
        names = [self.spelled[name] for name in location.names]
        tensors = self.checkpoint.read(names)
        return to_ours(location, [tensors[name] for name in names])

    def load(self) -> EncoderDecoder:
        """Reads every tensor. The outline becomes the model."""
        materialize(
            self.outline, lambda parameter: self.value(parameter).to(parameter.dtype, copy=True)
        )
        return self.outline


def open_model(composition: Composition, checkpoint: Checkpoint) -> SavedModel:
    """Builds the model without weights, and matches names and shapes of the tensors, strictly.

    Args:
        composition: of the model.
        checkpoint: its tensors.

    Raises:
        ConversionError: if the tensors do not fit the config.
    """
    model = outline(composition)
    rules = composition.rules()
    spelled = rule_names(checkpoint, composition)
    shapes = checkpoint.shapes()
    expected: dict[str, nn.Parameter] = {}
    copies: list[str] = []
    for names, parameter in _groups(model):
        candidates = _stored(names)
        held = [name for name in candidates if _held(name, rules, spelled)]
        if not held and _held(names[-1], rules, spelled):
            held = names[-1:]  # a writer that stores each tensor once may keep the head's name
        chosen = _kept(held or candidates)[0]
        expected[chosen] = parameter
        copies += [piece for name in held if name != chosen for piece in locate(name, rules).names]
    found = match(
        {name: tuple(parameter.shape) for name, parameter in expected.items()},
        {name: shapes[theirs] for name, theirs in spelled.items()},
        rules,
        what=checkpoint.name,
        optional=optional_tensors(composition),
        unused=unused_names(composition),
        ignored=(*ignored_names(composition), *copies),
    )
    locations = {id(expected[ours]): location for ours, location in found.found.items()}
    return SavedModel(model, checkpoint, locations, spelled)


def needs_target_tokenizer(checkpoint: Checkpoint, composition: Composition) -> bool:
    """Whether the target has a tokenizer of its own.

    Our folders record this. For other folders, infer it from the files, or from vocabularies that
    differ.
    """
    ours = checkpoint.config.get(KEY)
    if isinstance(ours, Mapping):
        return bool(ours["two_tokenizers"])
    if composition.encoder is None:
        return False
    vocabularies = {
        (half.get("model_type"), half.get("vocab_size"))
        for half in (composition.encoder, composition.decoder)
    }
    return len(vocabularies) > 1 or (checkpoint.folder / "decoder_tokenizer").is_dir()


def _config_json(
    composition: Composition, special: Mapping[str, int], two_tokenizers: bool
) -> dict[str, Any]:
    if composition.pretrained:
        return pretrained_config_json(composition.decoder)
    ours = {"composition": composition.options(), "two_tokenizers": two_tokenizers}
    family = composition.decoder_family
    decoder = _half_json(composition.decoder, family.decoder_class)
    decoder |= {"is_decoder": True, "add_cross_attention": composition.encoder is not None}
    if composition.encoder is None:
        if not composition.in_transformers():
            decoder["model_type"] = REFUSED + decoder["model_type"]
        return {**decoder, KEY: ours}
    encoder_family = composition.encoder_family
    assert encoder_family is not None
    # transformers has one key for sharing everything, and would leave a part of it random.
    if not composition.in_transformers() or composition.share not in ("none", "all"):
        decoder["model_type"] = REFUSED + decoder["model_type"]
    encoder = _half_json(composition.encoder, encoder_family.encoder_class)
    encoder |= {"is_decoder": False, "add_cross_attention": False}
    return {
        "architectures": ["EncoderDecoderModel"],
        "model_type": "encoder-decoder",
        "is_encoder_decoder": True,
        "encoder": encoder,
        "decoder": decoder,
        "tie_encoder_decoder": composition.share == "all",
        "decoder_start_token_id": special["start"],
        "eos_token_id": special["end"],
        "pad_token_id": special["pad"],
        KEY: ours,
    }


def _half_json(config: Mapping[str, Any], class_name: str | None) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if key not in (*_DROPPED, KEY)}
    return kept if class_name is None else {"architectures": [class_name], **kept}


def _groups(model: EncoderDecoder) -> list[tuple[list[str], nn.Parameter]]:
    """Each parameter with all of its names."""
    groups: dict[int, tuple[list[str], nn.Parameter]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), ([], parameter))[0].append(name)
    return list(groups.values())


def _stored(names: list[str]) -> list[str]:
    """Names in the files; a tied head is the word embedding and has no name of its own."""
    return [name for name in names if name != "head.weight"] or names


def _kept(names: list[str]) -> list[str]:
    """The one name in the files, if each tensor is stored once."""
    stored = _stored(names)
    return [name for name in stored if ".cross_attention." not in name][-1:] or stored[-1:]


def _held(name: str, rules: tuple[Rule, ...], available: Mapping[str, str]) -> bool:
    return all(piece in available for piece in locate(name, rules).names)


def _is_tied(checkpoint: Checkpoint, composition: Composition) -> bool:
    """Whether the shared tensors of a folder are equal: not if transformers 5 saved it again."""
    rules = composition.rules()
    spelled = rule_names(checkpoint, composition)
    for names, _ in _groups(outline(composition)):
        copies = [
            [spelled[piece] for piece in locate(name, rules).names]
            for name in _stored(names)
            if _held(name, rules, spelled)
        ]
        for first, *others in zip(*copies, strict=True):
            tensors = checkpoint.read([first, *others])
            if not all(torch.equal(tensors[first], tensors[other]) for other in others):
                logger.warning(
                    "%s is shared by its config, but its halves differ; they are loaded unshared.",
                    checkpoint.name,
                )
                return False
    return True
