"""The families that can be composed, and those that are loaded whole."""

from warmstart.errors import CheckpointError, did_you_mean
from warmstart.families.bart import BART
from warmstart.families.bert import BERT
from warmstart.families.bert_generation import BERT_GENERATION
from warmstart.families.distilbert import DISTILBERT
from warmstart.families.electra import ELECTRA
from warmstart.families.eurobert import EUROBERT
from warmstart.families.family import Config, Family
from warmstart.families.gemma import GEMMA, GEMMA2, GEMMA3
from warmstart.families.gpt2 import GPT2
from warmstart.families.gpt_neox import GPT_NEOX
from warmstart.families.llama import LLAMA, MISTRAL, QWEN2, QWEN3
from warmstart.families.marian import MARIAN
from warmstart.families.modernbert import MODERNBERT
from warmstart.families.modernbert_decoder import MODERNBERT_DECODER
from warmstart.families.mpnet import MPNET
from warmstart.families.nomic_bert import NOMIC_BERT
from warmstart.families.opt import OPT
from warmstart.families.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from warmstart.families.seq2seq_family import Seq2SeqFamily
from warmstart.families.t5 import MT5, T5
from warmstart.families.t5gemma import T5GEMMA

__all__ = ["FAMILIES", "SEQ2SEQ_FAMILIES", "family_of", "seq2seq_family_of"]

FAMILIES: tuple[Family, ...] = (
    BERT,
    ROBERTA,
    XLM_ROBERTA,
    CAMEMBERT,
    BERT_GENERATION,
    ELECTRA,
    DISTILBERT,
    MODERNBERT,
    MPNET,
    NOMIC_BERT,
    EUROBERT,
    GPT2,
    GPT_NEOX,
    OPT,
    LLAMA,
    MISTRAL,
    QWEN2,
    QWEN3,
    GEMMA,
    GEMMA2,
    GEMMA3,
    MODERNBERT_DECODER,
)
SEQ2SEQ_FAMILIES: tuple[Seq2SeqFamily, ...] = (T5, MT5, BART, MARIAN, T5GEMMA)
_DISENTANGLED = (
    "its attention multiplies queries and keys with relative positions, pair by pair, which no "
    "position kind of the stack does"
)
_ALIBI = "its positions are a penalty that grows with distance (ALiBi), which the stack has not"
# Known and left out: (model_type, why).
_LEFT_OUT: tuple[tuple[str, str], ...] = (
    ("albert", "one layer's weights serve all of its layers"),
    ("bloom", _ALIBI),
    ("deberta", _DISENTANGLED),
    ("deberta-v2", _DISENTANGLED),
    ("gemma3", "it reads images too; one saved as 'gemma3_text', such as the 1B, can be composed"),
    ("longformer", "its global tokens have projections of their own"),
    ("mpt", _ALIBI),
    ("xlnet", _DISENTANGLED),
)
_PAGE = "docs/how-to/add-a-family.md"


def family_of(config: Config, name: str) -> Family:
    """The family of a checkpoint's config.

    Args:
        config: config.json.
        name: names the checkpoint in the error.

    Raises:
        CheckpointError: if no family has its model_type; names the nearest and all of them, and
            says why it is left out where we know.
    """
    model_type = str(config.get("model_type"))
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = [known for family in FAMILIES for known in family.model_types]
    if seq2seq_family_of(config) is not None:
        raise CheckpointError(
            f"{name} is of the family '{model_type}', an encoder-decoder already; it is loaded "
            "whole, as a model. To compose, choose a checkpoint of another family. "
            f"Allowed: {', '.join(known)}."
        )
    reason = dict(_LEFT_OUT).get(model_type)
    if reason is not None:
        raise CheckpointError(
            f"{name} is of the family '{model_type}', which cannot be composed: {reason}. "
            f"Choose a checkpoint of another family. Allowed: {', '.join(known)}."
        )
    raise CheckpointError(
        f"{name} is of the family '{model_type}', which cannot be composed; "
        f"{did_you_mean(model_type, known)} How to add one: {_PAGE}."
    )


def seq2seq_family_of(config: Config) -> Seq2SeqFamily | None:
    """The family of a pre-trained encoder-decoder's config, None for any other."""
    model_type = config.get("model_type")
    return next((family for family in SEQ2SEQ_FAMILIES if model_type in family.model_types), None)
