"""GPT-2."""

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError
from warmstart.families.family import Config, Family, activation, field
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    LearnedPositions,
    NormConfig,
    StackConfig,
)

__all__ = ["GPT2"]


def _stack(config: Config) -> StackConfig:
    if field(config, "scale_attn_by_inverse_layer_idx", False):
        raise CheckpointError(
            "The config's scale_attn_by_inverse_layer_idx is true; a GPT-2 that scales each "
            "layer's attention differently cannot be composed."
        )
    hidden_size, heads = field(config, "n_embd", 768), field(config, "n_head", 12)
    return StackConfig(
        hidden_size=hidden_size,
        layers=field(config, "n_layer", 12),
        embedding=EmbeddingConfig(
            vocabulary=field(config, "vocab_size", 50257),
            size=hidden_size,
            positions=LearnedPositions(rows=field(config, "n_positions", 1024)),
        ),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=heads,
            head_size=hidden_size // heads,
            scale=None if field(config, "scale_attn_weights", True) else 1.0,
            dropout=field(config, "attn_pdrop", 0.1),
        ),
        feed_forward=FeedForwardConfig(
            size=field(config, "n_inner", 4 * hidden_size),
            activation=activation(config, "activation_function", "gelu_new"),
        ),
        norm=NormConfig(eps=field(config, "layer_norm_epsilon", 1e-5)),
        norm_order="pre",
        final_norm=True,
        causal=True,
        dropout=field(config, "resid_pdrop", 0.1),
        initializer_range=field(config, "initializer_range", 0.02),
    )


def _head(config: Config) -> HeadConfig:
    return HeadConfig(tied=field(config, "tie_word_embeddings", True))


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    # Its linear layers are stored as [in, out].
    def linear(theirs: str, ours: str) -> Rule:
        return Rule(f"h.{{i}}.{theirs}", f"blocks.{{i}}.{ours}", transpose=True)

    return (
        Rule("wte", "embedding.word"),
        Rule("wpe", "embedding.position"),
        Rule("h.{i}.ln_1", "blocks.{i}.self_attention.norm"),
        linear("attn.c_attn", "self_attention.qkv"),
        linear("attn.c_proj", "self_attention.output"),
        Rule("h.{i}.ln_cross_attn", "blocks.{i}.cross_attention.norm"),
        linear("crossattention.q_attn", "cross_attention.query"),
        linear("crossattention.c_attn", "cross_attention.key_value"),
        linear("crossattention.c_proj", "cross_attention.output"),
        Rule("h.{i}.ln_2", "blocks.{i}.feed_forward.norm"),
        linear("mlp.c_fc", "feed_forward.up"),
        linear("mlp.c_proj", "feed_forward.down"),
        Rule("ln_f", "final_norm"),
        Rule("lm_head.weight", "head.weight"),
    )


GPT2 = Family(
    name="gpt2",
    description="GPT-2 and DistilGPT-2: decoder-only, byte-level BPE, 1024 positions",
    model_types=("gpt2",),
    pretrained_as="decoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="transformer.",
    head_prefix="lm_head.",
    ignored=(
        "lm_head.weight",
        "h.*.attn.bias",
        "h.*.attn.masked_bias",
        "h.*.crossattention.bias",
        "h.*.crossattention.masked_bias",
    ),
    decoder_class="GPT2LMHeadModel",
    layers_key="n_layer",
)
