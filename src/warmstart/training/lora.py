"""Low-rank adapters on a model's linear layers (Hu et al. 2021), through peft.

An adapter folder has peft's format: ``adapter_config.json`` and ``adapter_model.safetensors``, with
the names of warmstart's modules. The second file holds the low-rank pairs and the parameters that
were trained in full. The first names the base model, by a path relative to the folder if it is next
to it.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from warmstart.checkpoint.files import ADAPTER_CONFIG, atomic_model_folder
from warmstart.errors import CheckpointError, UsageError
from warmstart.model.encoder_decoder import EncoderDecoder
from warmstart.model.stack import Block
from warmstart.seq2seq import Seq2Seq
from warmstart.training.train_config import Lora, LoraTarget

__all__ = ["Adapters", "add_adapters", "load_adapters"]

_WEIGHTS: Final = "adapter_model.safetensors"
_NAME: Final = "default"  # peft's name of the only adapter
_PREFIX: Final = "base_model.model."  # peft's, before every name


class Adapters:
    """The adapters of a model, in place of its linear layers.

    Args:
        model: with the adapters.
        config: peft's.
        initial: parameters with ``requires_grad`` before the adapters, by identity.
    """

    def __init__(self, model: EncoderDecoder, config: Any, initial: frozenset[int]) -> None:
        self.model = model
        self.config = config
        self.initial = initial

    def save(self, folder: Path, base: str) -> None:
        """Writes an adapter folder.

        Args:
            folder: new, or such a folder, which is replaced.
            base: the model that it belongs to: a hub id, or a folder relative to this one.

        Raises:
            OutputError: if it cannot be written.
        """
        with atomic_model_folder(folder) as partial:
            self.config.base_model_name_or_path = base
            self.config.save_pretrained(str(partial))
            tensors = {
                name: parameter.detach().contiguous() for name, parameter in self._held().items()
            }
            save_file(tensors, partial / _WEIGHTS, metadata={"format": "pt"})

    def read(self, folder: Path) -> None:
        """Reads the values of an adapter folder.

        Raises:
            CheckpointError: if its tensors are not those of this model's adapters.
        """
        held, saved = self._held(), _tensors(folder)
        if {name: p.shape for name, p in held.items()} != {n: t.shape for n, t in saved.items()}:
            odd = sorted(held.keys() ^ saved.keys()) or ["another rank"]
            raise CheckpointError(
                f"The adapter {folder} does not match its base: {len(odd)} names differ, such as "
                f"{odd[0]}; name the base that it was trained on, with the same settings."
            )
        with torch.no_grad():
            for name, parameter in held.items():
                parameter.copy_(saved[name])

    def merge(self) -> None:
        """Adds the adapters to the weights and removes them."""
        _merge(self.model)
        for parameter in self.model.parameters():
            parameter.requires_grad_(id(parameter) in self.initial)

    def merged(self, seq2seq: Seq2Seq) -> Seq2Seq:
        """A merged copy of the model, with the same sharing."""
        other = copy.copy(seq2seq)
        other.model = copy.deepcopy(self.model)
        _merge(other.model)
        return other

    def _held(self) -> dict[str, nn.Parameter]:
        """The trained parameters, by their names in the file; a shared one once."""
        return {
            _PREFIX + name.replace(f".{_NAME}.", ".").replace(".base_layer.", "."): parameter
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad or ".lora_" in name
        }


def add_adapters(model: EncoderDecoder, settings: Lora, new: frozenset[int], seed: int) -> Adapters:
    """Puts an adapter on each linear layer that the settings name. Initially they change nothing.

    New parameters are trained in full, unless they are targets; everything else is frozen. A shared
    layer has one adapter, which is shared, too.

    Args:
        model: changed in place.
        settings: rank and targets.
        new: parameters that come from no checkpoint, by identity.
        seed: of the adapters.

    Raises:
        UsageError: if peft is missing, or no layer is a target.
    """
    named = settings.targets is not None
    targets = [
        name
        for name, linear in _linear_layers(model, settings.targets)
        if named or id(linear.weight) not in new
    ]
    if not targets:
        raise UsageError(
            "lora has no layer to adapt: all attention and feed-forward layers are new and trained "
            "in full; leave lora out, or name its targets."
        )
    config = _peft_config(settings, targets)
    adapters = _inject(model, config, seed)
    adapted = {
        id(linear.weight)
        for name, linear in _linear_layers(model, None)
        if name.removesuffix(".base_layer") in targets
    }
    for parameter in model.parameters():
        if id(parameter) in new and id(parameter) in adapters.initial:
            parameter.requires_grad_(id(parameter) not in adapted)
    return adapters


def load_adapters(folder: Path) -> tuple[Seq2Seq, Adapters]:
    """The base of an adapter folder with its adapters, not merged.

    Raises:
        CheckpointError: if the folder or its base cannot be read, or they do not match.
        UsageError: if peft is missing.
    """
    try:
        settings = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        base = str(settings["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(
            f"{folder} is not an adapter: it has no {ADAPTER_CONFIG} that names a base; give a "
            "folder written by train, such as out/adapter."
        ) from None
    neighbour = (folder / base).resolve()
    seq2seq = Seq2Seq.from_pretrained(neighbour if neighbour.is_dir() else base, device="cpu")
    config = _peft().LoraConfig.from_pretrained(str(folder))
    tensors = _tensors(folder)
    adapters = _inject(seq2seq.model, config, 0)
    for name, parameter in seq2seq.model.named_parameters():
        plain = _PREFIX + name.replace(".base_layer.", ".")
        parameter.requires_grad_(".lora_" in name or plain in tensors)
    adapters.read(folder)
    return seq2seq, adapters


def _inject(model: EncoderDecoder, config: Any, seed: int) -> Adapters:
    initial = frozenset(id(p) for p in model.parameters() if p.requires_grad)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _peft().inject_adapter_in_model(config, model, _NAME)
    _share_again(model)
    return Adapters(model, config, initial)


def _share_again(model: EncoderDecoder) -> None:
    """Gives cross-attention the present projections of self-attention, where it shares them."""
    for block in model.decoder.blocks:
        assert isinstance(block, Block)
        attention = block.cross_attention
        if attention is not None and attention.qkv is not None:
            attention.qkv = block.self_attention.qkv
            attention.output = block.self_attention.output


def _merge(model: EncoderDecoder) -> None:
    """Merges each adapter once, and restores the linear layers wherever they are used."""
    layer_type = _peft().tuners.lora.LoraLayer
    merged: set[int] = set()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if not isinstance(child, layer_type):
                continue
            if id(child) not in merged:
                merged.add(id(child))
                child.merge()
            setattr(parent, name, child.get_base_layer())
    _share_again(model)


def _linear_layers(
    model: EncoderDecoder, targets: tuple[str, ...] | None
) -> Iterator[tuple[str, nn.Linear]]:
    """The linear layers of attention and feed-forward; each once, by its first name."""
    kinds = {*(targets or get_args(LoraTarget))}
    for name, module in model.named_modules():
        parts = {*name.split(".")}
        if isinstance(module, nn.Linear) and kinds & parts and not {"lora_A", "lora_B"} & parts:
            yield name, module


def _tensors(folder: Path) -> dict[str, Tensor]:
    try:
        return load_file(folder / _WEIGHTS)
    except Exception as error:  # whatever a damaged file makes safetensors raise
        raise CheckpointError(
            f"{folder / _WEIGHTS} cannot be read ({error}); write the adapter again."
        ) from None


def _peft_config(settings: Lora, targets: list[str]) -> Any:
    return _peft().LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
        bias="none",
    )


def _peft() -> Any:
    try:
        import peft
    except ImportError:
        raise UsageError(
            "lora needs the package peft, which is not installed; install it with "
            "pip install 'warmstart[lora]', or leave lora out."
        ) from None
    return peft
