"""ELECTRA: BERT's blocks with word vectors of a separate width."""

from dataclasses import replace

from warmstart.checkpoint.rename import Rule
from warmstart.families.bert import bert_stack, block_rules
from warmstart.families.family import Config, Family, field
from warmstart.model.config import HeadConfig, NormConfig, StackConfig

__all__ = ["ELECTRA"]

# transformers' defaults of values missing from config.json.
_DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 256,
    "num_hidden_layers": 12,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "max_position_embeddings": 512,
}


def _stack(config: Config) -> StackConfig:
    stack = bert_stack({**_DEFAULTS, **config})
    size = field(config, "embedding_size", 128)
    return replace(stack, embedding=replace(stack.embedding, size=size))


def _head(config: Config) -> HeadConfig:
    return HeadConfig(
        tied=field(config, "tie_word_embeddings", True),
        bias=True,
        transform="gelu",  # whatever the blocks' activation
        transform_norm=NormConfig(eps=field(config, "layer_norm_eps", 1e-12)),
    )


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    return (
        *block_rules(),
        Rule("embeddings_project", "embedding.projection"),
        Rule("generator_predictions.dense", "head.dense"),
        Rule("generator_predictions.LayerNorm", "head.norm"),
        Rule("generator_lm_head.bias", "head.bias"),
        Rule("generator_lm_head.weight", "head.weight"),
    )


ELECTRA = Family(
    name="electra",
    description="ELECTRA, discriminators and generators: encoder-only, WordPiece, 512 positions",
    model_types=("electra",),
    pretrained_as="encoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="electra.",
    head_prefix="generator_",
    unused=("pooler.*", "discriminator_predictions.*"),
    ignored=("embeddings.position_ids", "embeddings.token_type_ids", "generator_lm_head.weight"),
    encoder_class="ElectraModel",
    decoder_class="ElectraForCausalLM",
)
