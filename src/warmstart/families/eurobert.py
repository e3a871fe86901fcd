"""EuroBERT: Llama's blocks, pre-trained as an encoder."""

from dataclasses import replace

from warmstart.checkpoint.rename import Rule
from warmstart.families.family import Config, Family, field
from warmstart.families.llama import llama_rules, llama_stack
from warmstart.model.config import HeadConfig, StackConfig

__all__ = ["EUROBERT"]

# transformers' defaults of values missing from config.json.
_DEFAULTS = {
    "vocab_size": 128_256,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
}


def _stack(config: Config) -> StackConfig:
    stack = llama_stack({**_DEFAULTS, **config})
    bias = field(config, "mlp_bias", False)
    return replace(stack, feed_forward=replace(stack.feed_forward, bias=bias), causal=False)


def _head(config: Config) -> HeadConfig:
    return HeadConfig(
        tied=field(config, "tie_word_embeddings", False), bias=field(config, "mlp_bias", False)
    )


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    return (*llama_rules(stack), Rule("lm_head.bias", "head.bias"))


EUROBERT = Family(
    name="eurobert",
    description="EuroBERT: encoder-only, Llama's blocks, 15 languages, 8192 tokens",
    model_types=("eurobert",),
    pretrained_as="encoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="model.",
    head_prefix="lm_head.",
    ignored=("lm_head.weight",),
    encoder_class="EuroBertModel",
)
