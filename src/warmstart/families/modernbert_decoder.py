"""ModernBERT pre-trained as a decoder (Ettin)."""

from dataclasses import replace

from warmstart.checkpoint.rename import Rule
from warmstart.families.cross_attention import cross_attention_rules
from warmstart.families.family import Config, Family, field
from warmstart.families.modernbert import MODERNBERT
from warmstart.families.rotary import windows
from warmstart.model.config import StackConfig

__all__ = ["MODERNBERT_DECODER"]


def _stack(config: Config) -> StackConfig:
    stack = MODERNBERT.stack(config)
    every = field(config, "global_attn_every_n_layers", 3)
    # Half of both sides, the token itself included: the encoder sees one token further back.
    span = field(config, "sliding_window", field(config, "local_attention", 128) // 2)
    return replace(
        stack,
        windows=windows(config, stack.layers, span, lambda layer: layer % every != 0),
        causal=True,
    )


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "layers.{i}", "blocks.{i}"
    return (
        Rule("embeddings.tok_embeddings", "embedding.word"),
        Rule("embeddings.norm", "embedding.norm"),
        Rule(f"{layer}.attn_norm", f"{block}.self_attention.norm"),
        Rule(tuple(f"{layer}.attn.{name}_proj" for name in "qkv"), f"{block}.self_attention.qkv"),
        Rule(f"{layer}.attn.Wo", f"{block}.self_attention.output"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.mlp_norm", f"{block}.feed_forward.norm"),
        Rule(f"{layer}.mlp.Wi", f"{block}.feed_forward.up"),
        Rule(f"{layer}.mlp.Wo", f"{block}.feed_forward.down"),
        Rule("final_norm", "final_norm"),
        Rule("lm_head.dense", "head.dense"),
        Rule("lm_head.norm", "head.norm"),
        Rule("decoder.bias", "head.bias"),
        Rule("decoder.weight", "head.weight"),
    )


MODERNBERT_DECODER = Family(
    name="modernbert-decoder",
    description="ModernBERT as decoder (Ettin): decoder-only, local and global layers",
    model_types=("modernbert-decoder",),
    pretrained_as="decoder",
    stack=_stack,
    head=MODERNBERT.head,
    rules=_rules,
    prefix="model.",
    head_prefix=("lm_head.", "decoder."),
    ignored=("decoder.weight",),
)
