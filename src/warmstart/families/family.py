"""A family of checkpoints: a mapping of its config, and a table of its names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError, did_you_mean
from warmstart.model.config import Activation, HeadConfig, StackConfig

__all__ = ["Config", "Family", "activation", "field", "modern_norm"]

Config = Mapping[str, Any]  # the content of a config.json

_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
}
_OF_TENSORFLOW = {"gamma": "weight", "beta": "bias"}  # a norm's


def _no_lists(config: Config) -> Mapping[str, list[Any]]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family of checkpoints.

    Attributes:
        name: our name of it.
        description: one line for ``warmstart list families``.
        model_types: its values of model_type in config.json.
        pretrained_as: "encoder" (bidirectional) or "decoder" (causal).
        stack: config.json -> the stack as it was pre-trained.
        head: config.json -> the language-modelling head.
        rules: names, theirs and ours; theirs without the prefix.
        prefix: of the base model's names in a model with a head.
        head_prefix: one or several, of the names of the language-modelling head.
        unused: patterns of tensors that are dropped and reported as unused.
        ignored: patterns of buffers, and of copies of tied tensors.
        aliases: old spellings inside names, and the current ones.
        encoder_class: transformers' class for it as encoder, for config.json.
        decoder_class: the same as decoder with cross-attention; None if it has none.
        layers_key: the config's name of the number of layers.
        by_layer: config.json -> its lists with a value for each layer, by key.
        positions_skip_pad: whether transformers counts positions past tokens with the pad's id.
    """

    name: str
    description: str
    model_types: tuple[str, ...]
    pretrained_as: str
    stack: Callable[[Config], StackConfig]
    head: Callable[[Config], HeadConfig]
    rules: Callable[[StackConfig], tuple[Rule, ...]]
    prefix: str
    head_prefix: str | tuple[str, ...]
    unused: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    encoder_class: str | None = None
    decoder_class: str | None = None
    layers_key: str = "num_hidden_layers"
    by_layer: Callable[[Config], Mapping[str, list[Any]]] = _no_lists
    positions_skip_pad: bool = False

    @property
    def head_patterns(self) -> tuple[str, ...]:
        """Patterns of the names of the language-modelling head."""
        prefixes = (self.head_prefix,) if isinstance(self.head_prefix, str) else self.head_prefix
        return tuple(f"{prefix}*" for prefix in prefixes)

    def modernize(self, name: str) -> str:
        """A tensor's name without old spellings."""
        for old, new in self.aliases:
            name = name.replace(old, new)
        return modern_norm(name)

    def strip(self, name: str) -> str:
        """A tensor's name as the rules spell it: no prefix, no old spelling."""
        return self.modernize(name).removeprefix(self.prefix)

    def spell(self, name: str) -> str:
        """A rule's name as a model with a head spells it: the inverse of `strip`."""
        return name if name.startswith(self.head_prefix) else self.prefix + name


def modern_norm(name: str) -> str:
    """A tensor's name, with TensorFlow's names of a norm's weight and bias replaced.

    The first releases of BERT and its relatives have them, whatever the family.
    """
    module, _, kind = name.rpartition(".")
    return f"{module}.{_OF_TENSORFLOW[kind]}" if kind in _OF_TENSORFLOW else name


def field(config: Config, key: str, *default: Any) -> Any:
    """A value of config.json.

    Raises:
        CheckpointError: if it is missing and has no default.
    """
    value = config.get(key)
    if value is not None:
        return value
    if default:
        return default[0]
    raise CheckpointError(
        f"The config of this {config.get('model_type')} checkpoint has no '{key}', without which "
        "its architecture is unknown. Restore the config.json that it was saved with."
    )


def activation(config: Config, key: str, default: str) -> Activation:
    """The activation named in a config.

    Raises:
        CheckpointError: if the stack has no such activation.
    """
    name = field(config, key, default)
    if name not in _ACTIVATIONS:
        raise CheckpointError(
            f"The config's {key} is '{name}'; {did_you_mean(str(name), _ACTIVATIONS)}"
        )
    return _ACTIVATIONS[name]
