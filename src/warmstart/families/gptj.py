"""GPT-J: attention and feed-forward in parallel, after one norm."""

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError
from warmstart.families.cross_attention import cross_attention_rules
from warmstart.families.family import Config, Family, activation, field
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    NormConfig,
    Rotary,
    StackConfig,
)

__all__ = ["GPTJ"]


def _stack(config: Config) -> StackConfig:
    hidden_size, heads = field(config, "n_embd", 4096), field(config, "n_head", 16)
    rotated = config.get("rotary_dim", 64)
    if rotated is None:
        raise CheckpointError(
            "The config's rotary_dim is null; a GPT-J can be composed only with a number."
        )
    return StackConfig(
        hidden_size=hidden_size,
        layers=field(config, "n_layer", 28),
        embedding=EmbeddingConfig(vocabulary=field(config, "vocab_size", 50400), size=hidden_size),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=heads,
            head_size=hidden_size // heads,
            query_key_value_bias=False,
            output_bias=False,
            dropout=field(config, "attn_pdrop", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            size=field(config, "n_inner", 4 * hidden_size),
            activation=activation(config, "activation_function", "gelu_new"),
        ),
        norm=NormConfig(eps=field(config, "layer_norm_epsilon", 1e-5)),
        norm_order="pre",
        parallel_feed_forward=True,
        shared_norm=True,
        final_norm=True,
        rotary=Rotary(limit=field(config, "n_positions", 2048), size=rotated, interleaved=True),
        causal=True,
        dropout=field(config, "resid_pdrop", 0.0),
        initializer_range=field(config, "initializer_range", 0.02),
    )


def _head(config: Config) -> HeadConfig:
    return HeadConfig(tied=field(config, "tie_word_embeddings", False), bias=True)


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "h.{i}", "blocks.{i}"
    return (
        Rule("wte", "embedding.word"),
        Rule(f"{layer}.ln_1", f"{block}.self_attention.norm"),
        Rule(f"{layer}.ln_1", f"{block}.feed_forward.norm"),
        Rule(tuple(f"{layer}.attn.{name}_proj" for name in "qkv"), f"{block}.self_attention.qkv"),
        Rule(f"{layer}.attn.out_proj", f"{block}.self_attention.output"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.mlp.fc_in", f"{block}.feed_forward.up"),
        Rule(f"{layer}.mlp.fc_out", f"{block}.feed_forward.down"),
        Rule("ln_f", "final_norm"),
        Rule("lm_head.weight", "head.weight"),
        Rule("lm_head.bias", "head.bias"),
    )


GPTJ = Family(
    name="gptj",
    description="GPT-J: decoder-only, byte-level BPE, 2048 positions",
    model_types=("gptj",),
    pretrained_as="decoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="transformer.",
    head_prefix="lm_head.",
    ignored=("lm_head.weight", "h.*.attn.bias", "h.*.attn.masked_bias"),
    layers_key="n_layer",
)
