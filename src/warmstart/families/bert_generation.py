"""BERT for generation: the halves of the checkpoints that came with the paper."""

from warmstart.checkpoint.rename import Rule
from warmstart.families.bert import bert_stack, block_rules
from warmstart.families.family import Config, Family, field
from warmstart.model.config import HeadConfig, StackConfig

__all__ = ["BERT_GENERATION"]

# transformers leaves values out of config.json that equal its defaults.
_DEFAULTS = {
    "vocab_size": 50358,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "max_position_embeddings": 512,
}


def _stack(config: Config) -> StackConfig:
    return bert_stack({**_DEFAULTS, **config}, token_types=0)


def _head(config: Config) -> HeadConfig:
    return HeadConfig(tied=field(config, "tie_word_embeddings", True), bias=True)


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    return (
        *block_rules(),
        Rule("lm_head.bias", "head.bias"),
        Rule("lm_head.decoder.weight", "head.weight"),
    )


BERT_GENERATION = Family(
    name="bert-generation",
    description="BERT without token types and head transform, as published with the paper",
    model_types=("bert-generation",),
    pretrained_as="encoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="bert.",
    head_prefix="lm_head.",
    unused=("pooler.*",),
    ignored=("embeddings.position_ids", "lm_head.decoder.*"),
    encoder_class="BertGenerationEncoder",
    decoder_class="BertGenerationDecoder",
)
