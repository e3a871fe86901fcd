"""A stack of some of a checkpoint's layers."""

from collections.abc import Sequence

from warmstart.composition.composition import Layers
from warmstart.errors import CompositionError
from warmstart.families.catalogue import family_of
from warmstart.families.family import Config

__all__ = ["choose_layers"]


def choose_layers(config: Config, choice: int | Sequence[int], whose: str) -> tuple[Config, Layers]:
    """The config of a stack of fewer layers, and the indices of the layers in the checkpoint.

    The rest of the stack (embeddings, last norm, head) is unchanged.

    Args:
        config: config.json of the whole checkpoint.
        choice: the number of layers, from the first; or the layers themselves, from 0 and in
            ascending order.
        whose: names the half in errors: "encoder" or "decoder".

    Raises:
        CompositionError: if the checkpoint has no such layers.
    """
    family = family_of(config, f"The {whose}")
    stack = family.stack(config)
    layers = tuple(range(choice)) if isinstance(choice, int) else tuple(choice)
    if not layers or max(layers) >= stack.layers or min(layers) < 0:
        raise CompositionError(
            f"{whose}_layers is {_shown(choice)}, but the checkpoint has {stack.layers} layers; "
            f"give a number from 1 to {stack.layers}, or a list of layers from 0 to "
            f"{stack.layers - 1}."
        )
    if list(layers) != sorted(set(layers)):
        raise CompositionError(
            f"{whose}_layers is {_shown(choice)}; a list of layers must be ascending, each once."
        )
    if not stack.first_attention_norm and layers[0] != 0:
        raise CompositionError(
            f"{whose}_layers is {_shown(choice)}, but the first layer of a {family.name} differs "
            "from the others (its attention has no norm) and has to be among them; begin with 0."
        )
    chosen = {**config, family.layers_key: len(layers)}
    # The kind of each layer, if they differ or the config lists them.
    if config.get("layer_types") is not None or len(set(stack.windows or ())) > 1:
        chosen["layer_types"] = [
            "full_attention" if stack.window(layer) is None else "sliding_attention"
            for layer in layers
        ]
    for key, values in family.by_layer(config).items():
        chosen[key] = [values[layer] for layer in layers]
    return chosen, layers


def _shown(choice: int | Sequence[int]) -> str:
    return str(choice) if isinstance(choice, int) else str(list(choice))
