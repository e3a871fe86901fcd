"""NomicBERT: BERT's post-norm with rotary positions, gated feed-forwards and few biases.

Its checkpoints have GPT-2's keys in config.json, those saved by transformers 5 have BERT's, and
some have both; tensors have the same names in all of them.
"""

from typing import Any

from warmstart.checkpoint.rename import Rule
from warmstart.errors import CheckpointError
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

__all__ = ["NOMIC_BERT"]

# Its own code has more; of the published checkpoints only the mixture of experts uses it.
_ONLY = {
    "activation_function": "swiglu",
    "causal": False,
    "mlp_fc2_bias": False,
    "parallel_block": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "use_rms_norm": False,
}


def _either(config: Config, key: str, older: str, default: Any) -> Any:
    return field(config, key, field(config, older, default))


def _norm(config: Config) -> NormConfig:
    return NormConfig(eps=_either(config, "layer_norm_eps", "layer_norm_epsilon", 1e-12))


def _stack(config: Config) -> StackConfig:
    for key, only in _ONLY.items():
        if config.get(key, only) != only:
            raise CheckpointError(
                f"The config's {key} is {config[key]!r}; a NomicBERT can be composed only with "
                f"{only!r}."
            )
    hidden_size = _either(config, "hidden_size", "n_embd", 768)
    heads = _either(config, "num_attention_heads", "n_head", 12)
    return StackConfig(
        hidden_size=hidden_size,
        layers=_either(config, "num_hidden_layers", "n_layer", 12),
        embedding=EmbeddingConfig(
            vocabulary=field(config, "vocab_size", 30528),
            size=hidden_size,
            token_types=field(config, "type_vocab_size", 2),
            norm=_norm(config),
        ),
        attention=AttentionConfig(
            heads=heads,
            key_value_heads=heads,
            head_size=field(config, "head_dim", hidden_size // heads),
            query_key_value_bias=False,
            output_bias=False,
            dropout=_either(config, "attention_probs_dropout_prob", "attn_pdrop", 0.0),
        ),
        feed_forward=FeedForwardConfig(
            size=_either(config, "intermediate_size", "n_inner", 3072),
            activation=activation(config, "hidden_act", "silu"),
            gated=True,
            bias=False,
        ),
        norm=_norm(config),
        norm_order="post",
        rotary=rotary(
            config,
            # Longer texts need another base, which their own code derives from the length.
            limit=_either(config, "max_position_embeddings", "max_trained_positions", 2048),
            theta_key="rotary_emb_base",
            default_theta=1_000.0,
        ),
        dropout=_either(config, "hidden_dropout_prob", "resid_pdrop", 0.0),
        initializer_range=field(config, "initializer_range", 0.02),
    )


def _head(config: Config) -> HeadConfig:
    bias = field(config, "mlp_fc1_bias", True)  # in its own code; transformers always has them
    return HeadConfig(
        tied=field(config, "tie_word_embeddings", True),
        bias=bias,
        transform=activation(config, "hidden_act", "silu"),
        transform_norm=_norm(config),
        transform_bias=bias,
    )


def _rules(stack: StackConfig) -> tuple[Rule, ...]:
    layer, block = "encoder.layers.{i}", "blocks.{i}"
    return (
        Rule("embeddings.word_embeddings", "embedding.word"),
        Rule("embeddings.token_type_embeddings", "embedding.token_type"),
        Rule("emb_ln", "embedding.norm"),
        Rule(f"{layer}.attn.Wqkv", f"{block}.self_attention.qkv"),
        Rule(f"{layer}.attn.out_proj", f"{block}.self_attention.output"),
        Rule(f"{layer}.norm1", f"{block}.self_attention.norm"),
        *cross_attention_rules(layer),
        Rule((f"{layer}.mlp.fc12", f"{layer}.mlp.fc11"), f"{block}.feed_forward.up"),
        Rule(f"{layer}.mlp.fc2", f"{block}.feed_forward.down"),
        Rule(f"{layer}.norm2", f"{block}.feed_forward.norm"),
        Rule("cls.predictions.transform.dense", "head.dense"),
        Rule("cls.predictions.transform.layer_norm", "head.norm"),
        Rule("cls.predictions.bias", "head.bias"),
        Rule("cls.predictions.decoder.weight", "head.weight"),
    )


NOMIC_BERT = Family(
    name="nomic_bert",
    description="NomicBERT: encoder-only, rotary positions, 2048 tokens",
    model_types=("nomic_bert",),
    pretrained_as="encoder",
    stack=_stack,
    head=_head,
    rules=_rules,
    prefix="bert.",
    head_prefix="cls.",
    unused=("pooler.*",),
    ignored=("cls.predictions.decoder.*",),
    aliases=(("nomic_bert.", "bert."),),  # transformers' prefix, where the authors' is BERT's
    encoder_class="NomicBertModel",
)
