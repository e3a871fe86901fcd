"""GPT-NeoX and Pythia."""

from warmstart.checkpoint.rename import Rule
from warmstart.families.cross_attention import cross_attention_rules
from warmstart.families.family import Config, Family, activation, field
from warmstart.families.rotary import rotary
from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    NormConfig,
    StackConfig,
)

__all__ = ["GPT_NEOX"]

# transformers' defaults of values missing from config.json.
_DEFAULTS = {
    "vocab_size": 50432,
    "hidden_size": 6144,
    "num_hidden_layers": 44,
    "num_attention_heads": 64,
    "intermediate_size": 24576,
    "max_position_embeddings": 2048,
}


def _stack(config: Config) -> StackConfig:
    config = {**_DEFAULTS, **config}
    hidden_size, heads = field(config, "hidden_size"), field(config, "num_attention_heads")
    head_size = hidden_size // heads
    scaling = field(config, "rope_scaling", field(config, "rope_parameters", {}))
    part = scaling.get("partial_rotary_factor", field(config, "rotary_pct", 0.25))
    bias = field(config, "attention_bias", True)
    return StackConfig(
        hidden_size=hidden_size,
        layers=field(config, "num_hidden_layers"),
        embedding=EmbeddingConfig(vocabulary=field(config, "vocab_size"), size=hidden_size),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=heads,
            head_size=head_size,
            query_key_value_bias=bias,
            output_bias=bias,
            dropout=field(config, "attention_dropout", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            size=field(config, "intermediate_size"),
            activation=activation(config, "hidden_act", "gelu"),
        ),
        norm=NormConfig(eps=field(config, "layer_norm_eps", 1e-5)),
        norm_order="pre",
        parallel_feed_forward=field(config, "use_parallel_residual", True),
        final_norm=True,
        rotary=rotary(
            config,
            limit=field(config, "max_position_embeddings"),
            size=int(head_size * part),
            theta_key="rotary_emb_base",
        ),
        causal=True,
        dropout=field(config, "hidden_dropout", 0.0),
        initializer_range=field(config, "initializer_range", 0.02),
    )


def _head(config: Config) -> HeadConfig:
    return HeadConfig(tied=field(config, "tie_word_embeddings", False))


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "layers.{i}", "blocks.{i}"
    return (
        Rule("embed_in", "embedding.word"),
        Rule(
            f"{layer}.attention.query_key_value",
            f"{block}.self_attention.qkv",
            heads=stack.attention.heads,
        ),
        Rule(f"{layer}.attention.dense", f"{block}.self_attention.output"),
        Rule(f"{layer}.input_layernorm", f"{block}.self_attention.norm"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.post_attention_layernorm", f"{block}.feed_forward.norm"),
        Rule(f"{layer}.mlp.dense_h_to_4h", f"{block}.feed_forward.up"),
        Rule(f"{layer}.mlp.dense_4h_to_h", f"{block}.feed_forward.down"),
        Rule("final_layer_norm", "final_norm"),
        # The name in files; transformers 5 calls it lm_head in memory.
        Rule("embed_out.weight", "head.weight"),
    )


GPT_NEOX = Family(
    name="gpt_neox",
    description="GPT-NeoX and Pythia: decoder-only, byte-level BPE, 2048 positions",
    model_types=("gpt_neox",),
    pretrained_as="decoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="gpt_neox.",
    head_prefix="embed_out.",
    ignored=(
        "embed_out.weight",
        "layers.*.attention.bias",
        "layers.*.attention.masked_bias",
        "layers.*.attention.rotary_emb.inv_freq",
    ),
)
