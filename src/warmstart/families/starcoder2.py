"""StarCoder 2."""

from warmstart.checkpoint.rename import Rule
from warmstart.families.cross_attention import cross_attention_rules
from warmstart.families.family import Config, Family, activation, field
from warmstart.families.rotary import rotary, windows
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    NormConfig,
    StackConfig,
)

__all__ = ["STARCODER2"]


def _stack(config: Config) -> StackConfig:
    hidden_size = field(config, "hidden_size", 3072)
    layers = field(config, "num_hidden_layers", 30)
    heads = field(config, "num_attention_heads", 24)
    bias = field(config, "use_bias", True)
    return StackConfig(
        hidden_size=hidden_size,
        layers=layers,
        embedding=EmbeddingConfig(vocabulary=field(config, "vocab_size", 49152), size=hidden_size),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=field(config, "num_key_value_heads", 2),
            head_size=hidden_size // heads,
            query_key_value_bias=bias,
            output_bias=bias,
            dropout=field(config, "attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            size=field(config, "intermediate_size", 12288),
            activation=activation(config, "hidden_act", "gelu_pytorch_tanh"),
            bias=bias,
        ),
        norm=NormConfig(eps=field(config, "norm_epsilon", 1e-5)),
        norm_order="pre",
        final_norm=True,
        rotary=rotary(
            config,
            limit=field(config, "max_position_embeddings", 4096),
            head_size=hidden_size // heads,
        ),
        windows=windows(config, layers, config.get("sliding_window"), lambda layer: True),
        causal=True,
        dropout=field(config, "residual_dropout", 0.0),
        initializer_range=field(config, "initializer_range", 0.018042),
    )


def _head(config: Config) -> HeadConfig:
    return HeadConfig(tied=field(config, "tie_word_embeddings", True))


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "layers.{i}", "blocks.{i}"
    attention = stack.attention
    queries = attention.heads * attention.head_size
    keys = attention.key_value_heads * attention.head_size
    return (
        Rule("embed_tokens", "embedding.word"),
        Rule(f"{layer}.input_layernorm", f"{block}.self_attention.norm"),
        Rule(
            tuple(f"{layer}.self_attn.{name}_proj" for name in "qkv"),
            f"{block}.self_attention.qkv",
            rows=(queries, keys, keys),
        ),
        Rule(f"{layer}.self_attn.o_proj", f"{block}.self_attention.output"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.post_attention_layernorm", f"{block}.feed_forward.norm"),
        Rule(f"{layer}.mlp.c_fc", f"{block}.feed_forward.up"),
        Rule(f"{layer}.mlp.c_proj", f"{block}.feed_forward.down"),
        Rule("norm", "final_norm"),
        Rule("lm_head.weight", "head.weight"),
    )


STARCODER2 = Family(
    name="starcoder2",
    description="StarCoder 2: decoder-only, for code, byte-level BPE",
    model_types=("starcoder2",),
    pretrained_as="decoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="model.",
    head_prefix="lm_head.",
    ignored=("lm_head.weight",),
)
