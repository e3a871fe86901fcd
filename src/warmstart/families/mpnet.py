"""MPNet: RoBERTa with a learned bias on attention scores by distance."""

from dataclasses import replace

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError
from warmstart.families.bert import bert_stack
from warmstart.families.cross_attention import cross_attention_rules
from warmstart.families.family import Config, Family, field
from warmstart.model.config import HeadConfig, NormConfig, RelativeBias, StackConfig

__all__ = ["MPNET"]

# transformers' defaults of values missing from config.json.
_DEFAULTS = {
    "vocab_size": 30527,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}
_OFFSET = 2  # row of the first token in the position table, whatever the pad token's id is
_BUCKETS = 32  # in transformers and before it, whatever the config says


def _stack(config: Config) -> StackConfig:
    buckets = field(config, "relative_attention_num_buckets", _BUCKETS)
    if buckets != _BUCKETS:
        raise CheckpointError(
            f"The config's relative_attention_num_buckets is {buckets}; an MPNet can be composed "
            f"only with {_BUCKETS}, as it was published."
        )
    stack = bert_stack({**_DEFAULTS, **config}, position_offset=_OFFSET, token_types=0)
    return replace(stack, relative_bias=RelativeBias(buckets=buckets))


def _head(config: Config) -> HeadConfig:
    return HeadConfig(
        tied=field(config, "tie_word_embeddings", True),
        bias=True,
        transform="gelu",  # whatever the blocks' activation
        transform_norm=NormConfig(eps=field(config, "layer_norm_eps", 1e-12)),
    )


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "encoder.layer.{i}", "blocks.{i}"
    attention = f"{layer}.attention.attn"
    return (
        Rule("embeddings.word_embeddings", "embedding.word"),
        Rule("embeddings.position_embeddings", "embedding.position"),
        Rule("embeddings.LayerNorm", "embedding.norm"),
        Rule("encoder.relative_attention_bias", "relative_bias"),
        Rule(
            (f"{attention}.q", f"{attention}.k", f"{attention}.v"),
            f"{block}.self_attention.qkv",
        ),
        Rule(f"{attention}.o", f"{block}.self_attention.output"),
        Rule(f"{layer}.attention.LayerNorm", f"{block}.self_attention.norm"),
        *cross_attention_rules(layer),
        Rule(f"{layer}.intermediate.dense", f"{block}.feed_forward.up"),
        Rule(f"{layer}.output.dense", f"{block}.feed_forward.down"),
        Rule(f"{layer}.output.LayerNorm", f"{block}.feed_forward.norm"),
        Rule("pooler.dense", "pooler"),
        Rule("lm_head.dense", "head.dense"),
        Rule("lm_head.layer_norm", "head.norm"),
        Rule("lm_head.bias", "head.bias"),
        Rule("lm_head.decoder.weight", "head.weight"),
    )


MPNET = Family(
    name="mpnet",
    description="MPNet: encoder-only, relative and absolute positions, 512 tokens in 514 rows",
    model_types=("mpnet",),
    pretrained_as="encoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="mpnet.",
    head_prefix="lm_head.",
    unused=("pooler.*",),
    ignored=("embeddings.position_ids", "lm_head.decoder.*"),
    encoder_class="MPNetModel",
    positions_skip_pad=True,
)
