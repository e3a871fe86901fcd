"""The families that can be composed, and the encoder-decoders that can be loaded."""

from difflib import get_close_matches

from warmstart.errors import CheckpointError
from warmstart.families.bart import BART
from warmstart.families.bert import BERT
from warmstart.families.bert_generation import BERT_GENERATION
from warmstart.families.bloom import BLOOM
from warmstart.families.config_values import check_values
from warmstart.families.data2vec_text import DATA2VEC_TEXT
from warmstart.families.distilbert import DISTILBERT
from warmstart.families.electra import ELECTRA
from warmstart.families.ernie import ERNIE
from warmstart.families.eurobert import EUROBERT
from warmstart.families.falcon import FALCON
from warmstart.families.family import Config, Family
from warmstart.families.gemma import GEMMA, GEMMA2, GEMMA3
from warmstart.families.gpt2 import GPT2
from warmstart.families.gpt_neo import GPT_NEO
from warmstart.families.gpt_neox import GPT_NEOX
from warmstart.families.gptj import GPTJ
from warmstart.families.granite import GRANITE
from warmstart.families.llama import LLAMA, MISTRAL, QWEN2, QWEN3
from warmstart.families.marian import MARIAN
from warmstart.families.ministral3 import MINISTRAL3
from warmstart.families.modernbert import MODERNBERT
from warmstart.families.modernbert_decoder import MODERNBERT_DECODER
from warmstart.families.mpnet import MPNET
from warmstart.families.nomic_bert import NOMIC_BERT
from warmstart.families.olmo import OLMO2, OLMO3
from warmstart.families.opt import OPT
from warmstart.families.phi3 import PHI3
from warmstart.families.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from warmstart.families.seq2seq_family import Seq2SeqFamily
from warmstart.families.smollm3 import SMOLLM3
from warmstart.families.starcoder2 import STARCODER2
from warmstart.families.t5 import MT5, T5
from warmstart.families.t5gemma import T5GEMMA

__all__ = [
    "FAMILIES",
    "SEQ2SEQ_FAMILIES",
    "family_of",
    "is_encoder_decoder",
    "refuse_encoder_decoder",
    "seq2seq_family_of",
]

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
    ERNIE,
    DATA2VEC_TEXT,
    GPT2,
    GPT_NEO,
    GPTJ,
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
    MINISTRAL3,
    PHI3,
    GRANITE,
    SMOLLM3,
    OLMO2,
    OLMO3,
    STARCODER2,
    FALCON,
    BLOOM,
)
SEQ2SEQ_FAMILIES: tuple[Seq2SeqFamily, ...] = (T5, MT5, BART, MARIAN, T5GEMMA)
_MIXTURE = "its feed-forward layers are mixtures of experts, and the stack has one feed-forward"
_STATE_SPACE = "some or all of its layers are recurrent (state-space or linear attention)"
_DISENTANGLED = (
    "its attention multiplies queries and keys with relative positions, pair by pair, which no "
    "position kind of the stack does"
)
_NESTED = ("gemma3n", "gemma3n_text", "gemma4", "gemma4_text", "gemma4_unified")
# Known and left out: why, and the model types.
_LEFT_OUT: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("one layer's weights serve all of its layers", ("albert",)),
    (_DISENTANGLED, ("deberta", "deberta-v2", "xlnet")),
    ("each layer adds embeddings of its own, and some layers share keys and values", _NESTED),
    ("its global tokens have separate projections", ("longformer",)),
    (
        _MIXTURE,
        (
            "dbrx",
            "deepseek_v2",
            "deepseek_v3",
            "deepseek_v32",
            "dots1",
            "ernie4_5_moe",
            "flex_olmo",
            "glm4_moe",
            "gpt_oss",
            "granitemoe",
            "granitemoeshared",
            "hunyuan_v1_moe",
            "jetmoe",
            "llama4",
            "llama4_text",
            "minimax_m2",
            "mixtral",
            "olmoe",
            "phimoe",
            "qwen2_moe",
            "qwen3_moe",
        ),
    ),
    (
        _STATE_SPACE,
        (
            "bamba",
            "falcon_h1",
            "falcon_mamba",
            "granitemoehybrid",
            "jamba",
            "kimi_linear",
            "lfm2",
            "mamba",
            "mamba2",
            "minimax",
            "nemotron_h",
            "olmo_hybrid",
            "qwen3_5",
            "qwen3_5_text",
            "qwen3_next",
            "recurrent_gemma",
            "rwkv",
            "xlstm",
            "zamba",
            "zamba2",
        ),
    ),
)
_PAGE = "docs/how-to/add-a-family.md"
_TYPO = 0.8  # similarity of two model types, from which one is taken for a typo of the other


def family_of(config: Config, name: str) -> Family:
    """The family of a checkpoint's config.

    Args:
        config: config.json.
        name: the checkpoint's, for the error.

    Raises:
        CheckpointError: if a value is invalid, or no family has its model_type; with the reason
            where it is known, the nearest type for a typo, and all supported types.
    """
    model_type = str(config.get("model_type"))
    for family in FAMILIES:
        if model_type in family.model_types:
            check_values(config, name)
            return family
    known = [known for family in FAMILIES for known in family.model_types]
    allowed = f"Allowed: {', '.join(known)}."
    if seq2seq_family_of(config) is not None:
        raise CheckpointError(
            f"{name} is of the family '{model_type}', an encoder-decoder already; it is loaded as "
            f"a model. To compose, choose a checkpoint of another family. {allowed}"
        )
    if is_encoder_decoder(config):
        raise CheckpointError(f"{name} {_describe(model_type)} Choose another one. {allowed}")
    reason = _reason(config, model_type)
    if reason is not None:
        raise CheckpointError(
            f"{name} is of the family '{model_type}', which cannot be composed: {reason}. "
            f"Choose a checkpoint of another family. {allowed}"
        )
    near = () if _exists(model_type) else get_close_matches(model_type, known, 1, _TYPO)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise CheckpointError(
        f"{name} is of the family '{model_type}', which cannot be composed; "
        f"{hint}{allowed} To add one, see {_PAGE}."
    )


def seq2seq_family_of(config: Config) -> Seq2SeqFamily | None:
    """The family of a pre-trained encoder-decoder's config, None for any other."""
    model_type = config.get("model_type")
    return next((family for family in SEQ2SEQ_FAMILIES if model_type in family.model_types), None)


def is_encoder_decoder(config: Config) -> bool:
    """Whether a config is of an encoder-decoder, supported or not."""
    if config.get("is_encoder_decoder") is True:
        return True
    from transformers.models.auto import modeling_auto as auto

    return any(
        config.get("model_type") in types
        for types in (
            auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
            auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
        )
    )


def refuse_encoder_decoder(config: Config, name: str) -> None:
    """Rejects the config of an encoder-decoder that is not of `SEQ2SEQ_FAMILIES`.

    Args:
        config: config.json.
        name: the checkpoint's, for the error.

    Raises:
        CheckpointError: if it is one.
    """
    if seq2seq_family_of(config) is None and is_encoder_decoder(config):
        raise CheckpointError(
            f"{name} {_describe(str(config.get('model_type')))} Choose one of these families, or "
            "compose two checkpoints: warmstart compose ENCODER DECODER -o DIR"
        )


def _describe(model_type: str) -> str:
    if model_type in ("encoder-decoder", "encoder_decoder") or model_type.startswith("warmstart-"):
        return "is a composed model with two halves, not a checkpoint to compose."
    loaded = [known for family in SEQ2SEQ_FAMILIES for known in family.model_types]
    return (
        f"is a pre-trained encoder-decoder of the family '{model_type}', which can be neither "
        f"composed nor loaded; encoder-decoders that can be loaded: {', '.join(loaded)}."
    )


def _reason(config: Config, model_type: str) -> str | None:
    """Why checkpoints of a type cannot be composed; None: not known."""
    for reason, types in _LEFT_OUT:
        if model_type in types:
            return reason
    experts = [config.get(key) for key in ("num_experts", "num_local_experts", "n_routed_experts")]
    return _MIXTURE if any(isinstance(count, int) and count > 1 for count in experts) else None


def _exists(model_type: str) -> bool:
    """Whether transformers has such a type, so that it is not a typo of another."""
    from transformers import CONFIG_MAPPING

    return model_type in CONFIG_MAPPING
