"""The families that can be composed."""

from warmstart.errors import CheckpointError, did_you_mean
from warmstart.families.bert import BERT
from warmstart.families.bert_generation import BERT_GENERATION
from warmstart.families.family import Config, Family
from warmstart.families.gpt2 import GPT2
from warmstart.families.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA

__all__ = ["FAMILIES", "family_of"]

FAMILIES: tuple[Family, ...] = (
    BERT,
    ROBERTA,
    XLM_ROBERTA,
    CAMEMBERT,
    BERT_GENERATION,
    GPT2,
)


def family_of(config: Config, name: str) -> Family:
    """The family of a checkpoint's config.

    Args:
        config: config.json.
        name: names the checkpoint in the error.

    Raises:
        CheckpointError: if no family has its model_type; names the nearest and all of them.
    """
    model_type = str(config.get("model_type"))
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = [known for family in FAMILIES for known in family.model_types]
    raise CheckpointError(
        f"{name} is of the family '{model_type}', which cannot be composed; "
        f"{did_you_mean(model_type, known)}"
    )
