"""What config.json files of encoder families say, in the spellings of all years."""

from typing import Any

import pytest
import transformers

from warmstart.errors import CheckpointError
from warmstart.families.catalogue import family_of
from warmstart.families.family import Family
from warmstart.model.config import Rotary

FAMILIES = ("electra", "distilbert", "modernbert", "mpnet", "nomic_bert", "eurobert")
# As the authors published them, with transformers 4, less what concerns no architecture.
PUBLISHED: dict[str, dict[str, Any]] = {
    "modernbert": {  # answerdotai/ModernBERT-base
        "attention_bias": False,
        "attention_dropout": 0.0,
        "classifier_activation": "gelu",
        "classifier_bias": False,
        "decoder_bias": True,
        "embedding_dropout": 0.0,
        "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0,
        "hidden_activation": "gelu",
        "hidden_size": 768,
        "initializer_range": 0.02,
        "intermediate_size": 1152,
        "local_attention": 128,
        "local_rope_theta": 10000.0,
        "max_position_embeddings": 8192,
        "mlp_bias": False,
        "model_type": "modernbert",
        "norm_bias": False,
        "norm_eps": 1e-05,
        "num_attention_heads": 12,
        "num_hidden_layers": 22,
        "position_embedding_type": "absolute",
        "vocab_size": 50368,
    },
    "eurobert": {  # EuroBERT/EuroBERT-610m
        "attention_bias": False,
        "attention_dropout": 0.0,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": 1152,
        "initializer_range": 0.02,
        "intermediate_size": 4096,
        "max_position_embeddings": 8192,
        "mlp_bias": False,
        "model_type": "eurobert",
        "num_attention_heads": 18,
        "num_hidden_layers": 26,
        "num_key_value_heads": 6,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 250000,
        "tie_word_embeddings": False,
        "vocab_size": 128256,
    },
    "electra": {  # google/electra-small-discriminator
        "attention_probs_dropout_prob": 0.1,
        "embedding_size": 128,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 256,
        "initializer_range": 0.02,
        "intermediate_size": 1024,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "electra",
        "num_attention_heads": 4,
        "num_hidden_layers": 12,
        "type_vocab_size": 2,
        "vocab_size": 30522,
    },
    "distilbert": {  # distilbert/distilbert-base-multilingual-cased
        "activation": "gelu",
        "attention_dropout": 0.1,
        "dim": 768,
        "dropout": 0.1,
        "hidden_dim": 3072,
        "initializer_range": 0.02,
        "max_position_embeddings": 512,
        "model_type": "distilbert",
        "n_heads": 12,
        "n_layers": 6,
        "sinusoidal_pos_embds": False,
        "tie_weights_": True,
        "vocab_size": 119547,
    },
}
# Nomic's own keys, of the published sizes, which are transformers' defaults.
NOMIC: dict[str, Any] = {
    "activation_function": "swiglu",
    "attn_pdrop": 0.0,
    "causal": False,
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "model_type": "nomic_bert",
    "n_embd": 768,
    "n_head": 12,
    "n_inner": 3072,
    "n_layer": 12,
    "n_positions": 8192,
    "parallel_block": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "resid_pdrop": 0.0,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "type_vocab_size": 2,
    "use_rms_norm": False,
    "vocab_size": 30528,
}


def family(name: str) -> Family:
    return family_of({"model_type": name}, "The test")


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_config_leaves_out_is_transformers_default(name: str) -> None:
    whole = transformers.AutoConfig.for_model(name).to_dict()
    assert family(name).stack({"model_type": name}) == family(name).stack(whole)
    assert family(name).head({"model_type": name}) == family(name).head(whole)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_means_what_transformers_takes_it_for(name: str) -> None:
    """transformers 5 reads the file and writes it in its own way."""
    published = PUBLISHED[name]
    today = transformers.AutoConfig.for_model(**published).to_dict()
    assert today != published
    assert family(name).stack(published) == family(name).stack(today)
    assert family(name).head(published) == family(name).head(today)


def test_keys_of_nomics_own() -> None:
    nomic = family("nomic_bert")
    today = transformers.NomicBertConfig().to_dict()
    assert not NOMIC.keys() & today.keys() - {"model_type", "type_vocab_size", "vocab_size"}
    assert nomic.stack(NOMIC) == nomic.stack(today) == nomic.stack({**NOMIC, **today})
    smaller = nomic.stack({**NOMIC, "n_embd": 64, "n_inner": 96, "n_layer": 3, "n_head": 2})
    assert (smaller.hidden_size, smaller.feed_forward.size, smaller.layers) == (64, 96, 3)
    assert (smaller.attention.heads, smaller.attention.head_size) == (2, 32)
    # Its own head has biases where its feed-forwards have; transformers' always.
    assert not nomic.head(NOMIC).bias
    assert nomic.head(today).bias


def test_modernbert_layers() -> None:
    """Two of three have a window of 64 tokens to either side, and another rotary base."""
    stack = family("modernbert").stack(PUBLISHED["modernbert"])
    assert stack.windows == (None, 65, 65) * 7 + (None,)
    assert stack.rotary == Rotary(theta=160_000.0, local_theta=10_000.0, limit=8192)
    chosen = ["full_attention"] * 20 + ["sliding_attention"] * 2
    stack = family("modernbert").stack({**PUBLISHED["modernbert"], "layer_types": chosen})
    assert stack.windows == (None,) * 20 + (65,) * 2


def test_modernbert_with_one_base_for_all_layers() -> None:
    config = {**PUBLISHED["modernbert"], "local_rope_theta": None, "global_rope_theta": 5e4}
    rotary = family("modernbert").stack(config).rotary
    assert rotary is not None
    assert rotary.theta == rotary.local_theta == 5e4


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("modernbert", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "only 'default'"),
        ("modernbert", {"layer_types": ["full_attention"]}, "name 1 layers"),
        ("eurobert", {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "by 'dynamic'"),
        ("electra", {"position_embedding_type": "relative_key"}, "'relative_key'"),
        ("distilbert", {"activation": "tanh"}, "activation is 'tanh'"),
        ("mpnet", {"relative_attention_num_buckets": 64}, "num_buckets is 64"),
        ("nomic_bert", {"prenorm": True}, "prenorm is True"),
        ("nomic_bert", {"activation_function": "gelu"}, "only with 'swiglu'"),
        ("nomic_bert", {"rotary_emb_fraction": 0.5}, "rotary_emb_fraction is 0.5"),
    ],
)
def test_what_cannot_be_expressed_is_refused(
    name: str, change: dict[str, Any], complaint: str
) -> None:
    config = {"model_type": name, **change}
    with pytest.raises(CheckpointError, match=complaint):
        family(name).stack(config)


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("deberta-v2", "relative positions"),
        ("deberta", "relative positions"),
        ("albert", "one layer's weights"),
        ("longformer", "global tokens"),
    ],
)
def test_a_family_that_is_left_out_says_why(model_type: str, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason) as caught:
        family_of({"model_type": model_type}, "some/checkpoint")
    assert "modernbert" in str(caught.value)


def test_an_unknown_family_points_to_the_page_on_adding_one() -> None:
    with pytest.raises(CheckpointError, match=r"docs/how-to/add-a-family\.md"):
        family_of({"model_type": "modern-bert"}, "some/checkpoint")
    with pytest.raises(CheckpointError, match="did you mean 'modernbert'"):
        family_of({"model_type": "modern-bert"}, "some/checkpoint")
