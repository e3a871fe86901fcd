"""GPT-Neo: GPT-2's stack with local layers and unscaled attention."""

from warmstart.checkpoint.rename import Rule
from warmstart.families.cross_attention import cross_attention_rules
from warmstart.families.family import Config, Family, activation, field
from warmstart.families.rotary import windows
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    LearnedPositions,
    NormConfig,
    StackConfig,
)

__all__ = ["GPT_NEO"]


def _local(config: Config) -> list[bool]:
    """Whether each layer has a window: patterns and how often each is repeated."""
    patterns = field(config, "attention_types", [[["global", "local"], 12]])
    kinds = [kind for pattern, times in patterns for kind in list(pattern) * times]
    return [kind == "local" for kind in kinds]


def _stack(config: Config) -> StackConfig:
    hidden_size, heads = field(config, "hidden_size", 2048), field(config, "num_heads", 16)
    layers, local = field(config, "num_layers", 24), _local(config)
    return StackConfig(
        hidden_size=hidden_size,
        layers=layers,
        embedding=EmbeddingConfig(
            vocabulary=field(config, "vocab_size", 50257),
            size=hidden_size,
            positions=LearnedPositions(rows=field(config, "max_position_embeddings", 2048)),
        ),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=heads,
            head_size=hidden_size // heads,
            query_key_value_bias=False,
            scale=1.0,
            dropout=field(config, "attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            size=field(config, "intermediate_size", 4 * hidden_size),
            activation=activation(config, "activation_function", "gelu_new"),
        ),
        norm=NormConfig(eps=field(config, "layer_norm_epsilon", 1e-5)),
        norm_order="pre",
        final_norm=True,
        windows=windows(
            config, layers, field(config, "window_size", 256), lambda layer: local[layer]
        ),
        causal=True,
        dropout=field(config, "resid_dropout", 0.0),
        initializer_range=field(config, "initializer_range", 0.02),
    )


def _head(config: Config) -> HeadConfig:
    return HeadConfig(tied=field(config, "tie_word_embeddings", True))


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "h.{i}", "blocks.{i}"
    attention = f"{layer}.attn.attention"
    return (
        Rule("wte", "embedding.word"),
        Rule("wpe", "embedding.position"),
        Rule(f"{layer}.ln_1", f"{block}.self_attention.norm"),
        Rule(tuple(f"{attention}.{name}_proj" for name in "qkv"), f"{block}.self_attention.qkv"),
        Rule(f"{attention}.out_proj", f"{block}.self_attention.output"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.ln_2", f"{block}.feed_forward.norm"),
        Rule(f"{layer}.mlp.c_fc", f"{block}.feed_forward.up"),
        Rule(f"{layer}.mlp.c_proj", f"{block}.feed_forward.down"),
        Rule("ln_f", "final_norm"),
        Rule("lm_head.weight", "head.weight"),
    )


GPT_NEO = Family(
    name="gpt_neo",
    description="GPT-Neo: decoder-only, byte-level BPE, every other layer with a window",
    model_types=("gpt_neo",),
    pretrained_as="decoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="transformer.",
    head_prefix="lm_head.",
    ignored=(
        "lm_head.weight",
        "h.*.attn.attention.bias",
        "h.*.attn.attention.masked_bias",
    ),
    layers_key="num_layers",
)
