"""The language model inside checkpoints that read images too."""

from collections.abc import Mapping

from warmstart.families.family import Config

__all__ = ["NAMES", "OTHER_PARTS", "text_config"]

_MULTIMODAL = ("gemma3", "mistral3")  # whose text part is one of `FAMILIES`
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
# Names of the language model in their files, as old and new versions of transformers write them.
NAMES = (
    ("language_model.model.", "model."),
    ("model.language_model.", "model."),
    ("language_model.lm_head.", "lm_head."),
)
OTHER_PARTS = ("vision_tower.*", "multi_modal_projector.*")


def text_config(config: Config) -> Config:
    """The config of the language model in a checkpoint; that of a text-only one unchanged."""
    text = config.get("text_config")
    if config.get("model_type") not in _MULTIMODAL or not isinstance(text, Mapping):
        return config
    default = {"gemma3": "gemma3_text", "mistral3": "mistral"}[config["model_type"]]
    ids = {key: config[key] for key in _IDS if config.get(key) is not None}
    return {**ids, "model_type": default, **text}
