"""Decoder-only families against transformers' defaults and published checkpoints' sizes."""

from typing import Any

import pytest
import torch
import transformers
from tests.support import tiny_decoders

from warmstart.errors import CheckpointError
from warmstart.families.catalogue import family_of
from warmstart.families.text_part import text_config
from warmstart.model.config import EncoderDecoderConfig, StackConfig
from warmstart.model.encoder_decoder import EncoderDecoder

# The sizes in published config.json files, and the parameters that their authors count, or None
# where they give a rounded number only.
PUBLISHED: dict[str, tuple[dict[str, Any], int | None]] = {
    "pythia-160m": (
        {
            "model_type": "gpt_neox",
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "vocab_size": 50304,
            "max_position_embeddings": 2048,
            "rotary_emb_base": 10000,
            "rotary_pct": 0.25,
            "use_parallel_residual": True,
            "tie_word_embeddings": False,
        },
        162_322_944,
    ),
    "opt-125m": (
        {
            "model_type": "opt",
            "hidden_size": 768,
            "ffn_dim": 3072,
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "vocab_size": 50272,
            "max_position_embeddings": 2048,
            "word_embed_proj_dim": 768,
            "do_layer_norm_before": True,
            "_remove_final_layer_norm": False,
        },
        125_239_296,
    ),
    "opt-350m": (
        {
            "model_type": "opt",
            "hidden_size": 1024,
            "ffn_dim": 4096,
            "num_attention_heads": 16,
            "num_hidden_layers": 24,
            "vocab_size": 50272,
            "max_position_embeddings": 2048,
            "word_embed_proj_dim": 512,
            "do_layer_norm_before": False,
            "_remove_final_layer_norm": False,
        },
        331_196_416,
    ),
    "Llama-2-7b": (
        {
            "model_type": "llama",
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "num_hidden_layers": 32,
            "vocab_size": 32000,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-05,
            "tie_word_embeddings": False,
        },
        6_738_415_616,
    ),
    "Llama-3.2-1B": (
        {
            "model_type": "llama",
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "head_dim": 64,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_hidden_layers": 16,
            "vocab_size": 128256,
            "max_position_embeddings": 131072,
            "rms_norm_eps": 1e-05,
            "rope_theta": 500000.0,
            "rope_scaling": {
                "factor": 32.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 8192,
                "rope_type": "llama3",
            },
            "tie_word_embeddings": True,
        },
        1_235_814_400,
    ),
    "SmolLM2-135M": (
        {
            "model_type": "llama",
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "num_hidden_layers": 30,
            "vocab_size": 49152,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-05,
            "rope_theta": 100000,
            "tie_word_embeddings": True,
        },
        134_515_008,
    ),
    "Mistral-7B-v0.1": (
        {
            "model_type": "mistral",
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_hidden_layers": 32,
            "vocab_size": 32000,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-05,
            "sliding_window": 4096,
            "tie_word_embeddings": False,
        },
        7_241_732_096,
    ),
    "Qwen2.5-0.5B": (
        {
            "model_type": "qwen2",
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "num_hidden_layers": 24,
            "vocab_size": 151936,
            "max_position_embeddings": 32768,
            "max_window_layers": 24,
            "rope_theta": 1000000.0,
            "sliding_window": 32768,
            "tie_word_embeddings": True,
            "use_sliding_window": False,
        },
        494_032_768,
    ),
    "Qwen3-0.6B": (
        {
            "model_type": "qwen3",
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "head_dim": 128,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "num_hidden_layers": 28,
            "vocab_size": 151936,
            "max_position_embeddings": 40960,
            "max_window_layers": 28,
            "rope_theta": 1000000,
            "rope_scaling": None,
            "sliding_window": None,
            "tie_word_embeddings": True,
            "use_sliding_window": False,
        },
        596_049_920,
    ),
    "gemma-2b": (
        {
            "model_type": "gemma",
            "hidden_act": "gelu",
            "hidden_size": 2048,
            "intermediate_size": 16384,
            "head_dim": 256,
            "num_attention_heads": 8,
            "num_key_value_heads": 1,
            "num_hidden_layers": 18,
            "vocab_size": 256000,
            "max_position_embeddings": 8192,
        },
        2_506_172_416,
    ),
    "gemma-2-2b": (
        {
            "model_type": "gemma2",
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
            "hidden_activation": "gelu_pytorch_tanh",
            "hidden_size": 2304,
            "intermediate_size": 9216,
            "head_dim": 256,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "num_hidden_layers": 26,
            "query_pre_attn_scalar": 256,
            "sliding_window": 4096,
            "vocab_size": 256000,
        },
        2_614_341_888,
    ),
    "gemma-3-270m": (
        {
            "model_type": "gemma3_text",
            "_sliding_window_pattern": 6,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "hidden_size": 640,
            "intermediate_size": 2048,
            "head_dim": 256,
            "layer_types": [*["sliding_attention"] * 5, "full_attention"] * 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "num_hidden_layers": 18,
            "max_position_embeddings": 32768,
            "rope_local_base_freq": 10000.0,
            "rope_scaling": None,
            "rope_theta": 1000000.0,
            "sliding_window": 512,
            "vocab_size": 262144,
        },
        268_098_176,
    ),
    "gemma-3-1b-pt": (
        {
            "model_type": "gemma3_text",
            "hidden_size": 1152,
            "intermediate_size": 6912,
            "head_dim": 256,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "num_hidden_layers": 26,
            "max_position_embeddings": 32768,
            "rope_local_base_freq": 10000,
            "rope_theta": 1000000,
            "sliding_window": 512,
            "sliding_window_pattern": 6,
            "vocab_size": 262144,
        },
        999_885_952,
    ),
    "ettin-decoder-17m": (
        {
            "model_type": "modernbert-decoder",
            "hidden_size": 256,
            "intermediate_size": 384,
            "num_attention_heads": 4,
            "num_hidden_layers": 7,
            "global_attn_every_n_layers": 3,
            "local_attention": 128,
            "vocab_size": 50368,
            "tie_word_embeddings": True,
        },
        None,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_gives_the_published_number_of_parameters(name: str) -> None:
    config, published = PUBLISHED[name]
    family = family_of(config, name)
    with torch.device("meta"):
        ours = EncoderDecoder(
            EncoderDecoderConfig(
                encoder=None, decoder=family.stack(config), head=family.head(config)
            )
        )
        theirs = transformers.AutoModelForCausalLM.from_config(
            transformers.AutoConfig.for_model(**config)
        )
    count = sum(parameter.numel() for parameter in ours.parameters())
    assert count == sum(parameter.numel() for parameter in theirs.parameters())
    assert published in (None, count)


@pytest.mark.parametrize("model_type", tiny_decoders.FAMILIES)
def test_what_a_config_leaves_out_is_transformers_default(model_type: str) -> None:
    config = {"model_type": model_type}
    family = family_of(config, "test")
    whole = transformers.AutoConfig.for_model(model_type).to_dict()
    assert family.stack(config) == family.stack(whole)
    assert family.head(config) == family.head(whole)


def test_windows_of_published_checkpoints() -> None:
    assert stack_of("Mistral-7B-v0.1").windows == (4096,) * 32
    assert stack_of("Qwen2.5-0.5B").windows is None
    assert stack_of("Qwen3-0.6B").windows is None
    assert stack_of("gemma-2-2b").windows == (4096, None) * 13
    assert stack_of("gemma-3-270m").windows == ((512,) * 5 + (None,)) * 3
    assert stack_of("gemma-3-1b-pt").windows == ((512,) * 5 + (None,)) * 4 + (512, 512)
    assert stack_of("ettin-decoder-17m").windows == (None, 64, 64) * 2 + (None,)


def test_the_first_gemmas_gelu_is_its_approximation() -> None:
    assert stack_of("gemma-2b").feed_forward.activation == "gelu_tanh"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"layer_norm_elementwise_affine": False}, "layer_norm_elementwise_affine is false"),
        ({"activation_function": "tanh"}, "activation_function is 'tanh'"),
    ],
)
def test_an_opt_that_cannot_be_composed(config: dict[str, Any], message: str) -> None:
    config = {"model_type": "opt", **config}
    with pytest.raises(CheckpointError, match=message):
        family_of(config, "test").stack(config)


def test_the_text_part_of_a_multimodal_config() -> None:
    plain = {"model_type": "llama", "text_config": {"hidden_size": 3}}
    assert text_config(plain) is plain
    text = {"hidden_size": 64, "model_type": "gemma3_text"}
    gemma = {"model_type": "gemma3", "eos_token_id": [1, 106], "text_config": text}
    assert text_config(gemma) == {**text, "eos_token_id": [1, 106]}
    older = {"model_type": "mistral3", "text_config": {"hidden_size": 64}}
    assert text_config(older) == {"hidden_size": 64, "model_type": "mistral"}


def stack_of(name: str) -> StackConfig:
    config, _ = PUBLISHED[name]
    return family_of(config, name).stack(config)
