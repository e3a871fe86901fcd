"""RoBERTa, and the same architecture in other languages: XLM-RoBERTa and CamemBERT."""

from dataclasses import replace

from warmstart.checkpoint.rename import Rule
from warmstart.families.bert import bert_head, bert_stack, block_rules
from warmstart.families.family import Config, Family, field
from warmstart.model.config import HeadConfig, StackConfig

__all__ = ["CAMEMBERT", "ROBERTA", "XLM_ROBERTA"]


def _stack(config: Config) -> StackConfig:
    # Positions start after the pad token's id: 514 rows serve 512 tokens.
    return bert_stack(config, position_offset=field(config, "pad_token_id", 1) + 1)


def _head(config: Config) -> HeadConfig:
    # GELU, whatever the activation of the blocks.
    return replace(bert_head(config), transform="gelu")


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    return (
        *block_rules(),
        Rule("lm_head.dense", "head.dense"),
        Rule("lm_head.layer_norm", "head.norm"),
        Rule("lm_head.bias", "head.bias"),
        Rule("lm_head.decoder.weight", "head.weight"),
    )


def _family(name: str, title: str, class_name: str) -> Family:
    return Family(
        name=name,
        description=f"{title}: encoder-only, 512 tokens in 514 position rows",
        model_types=(name,),
        pretrained_as="encoder",
        stack=_stack,
        head=_head,
        rules=_rules,
        prefix="roberta.",
        head_prefix="lm_head.",
        unused=("pooler.*",),
        ignored=("embeddings.position_ids", "embeddings.token_type_ids", "lm_head.decoder.*"),
        encoder_class=f"{class_name}Model",
        decoder_class=f"{class_name}ForCausalLM",
        positions_skip_pad=True,
    )


ROBERTA = _family("roberta", "RoBERTa, byte-level BPE", "Roberta")
XLM_ROBERTA = _family("xlm-roberta", "XLM-RoBERTa, 100 languages, SentencePiece", "XLMRoberta")
CAMEMBERT = _family("camembert", "CamemBERT, French, SentencePiece", "Camembert")
