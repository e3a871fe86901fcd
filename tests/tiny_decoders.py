"""Tiny decoder-only families, by their model_type.

Query heads are grouped where a family can, windows are shorter than the tests' sequences, and soft
caps are low enough to bend the scores.
"""

from collections.abc import Mapping
from typing import Any

import transformers
from tests.tiny_family import MakeConfig, TinyFamily
from transformers import PreTrainedConfig

__all__ = ["FAMILIES"]

_WINDOW = 5  # tokens
_GROUPED = {"num_key_value_heads": 2, "head_dim": 12}  # not the width over the heads
_CAPS = {"attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0}
_BASES = {
    "full_attention": {"rope_type": "default", "rope_theta": 1_000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10.0},
}
_NO_IDS = {"pad_token_id": None, "bos_token_id": None}  # their defaults are of large vocabularies
_ALTERNATING = ("sliding_attention", "full_attention")


def _maker(model_type: str, **values: Any) -> MakeConfig:
    """What makes configurations with Llama's keys; layers alternate where `layer_types` is True."""

    def make(
        *, vocab_size: int, hidden_size: int, layers: int, ids: Mapping[str, int]
    ) -> PreTrainedConfig:
        rest = dict(values)
        if rest.pop("layer_types", False):
            rest["layer_types"] = [_ALTERNATING[layer % 2] for layer in range(layers)]
        config: PreTrainedConfig = transformers.AutoConfig.for_model(
            model_type,
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=64,
            **{"intermediate_size": 2 * hidden_size, **_NO_IDS, **rest, **ids},
        )
        return config

    return make


def _opt(
    *, vocab_size: int, hidden_size: int, layers: int, ids: Mapping[str, int]
) -> PreTrainedConfig:
    return transformers.OPTConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        ffn_dim=2 * hidden_size,
        max_position_embeddings=64,
        **ids,
    )


FAMILIES: dict[str, TinyFamily] = {
    "gpt_neox": TinyFamily(
        config=_maker("gpt_neox", rope_parameters={"rope_theta": 100.0, "rope_type": "default"}),
        model=transformers.GPTNeoXForCausalLM,
        tokenizer="gpt2",
    ),
    "opt": TinyFamily(config=_opt, model=transformers.OPTForCausalLM, tokenizer="opt"),
    "llama": TinyFamily(
        config=_maker("llama", **_GROUPED),
        model=transformers.LlamaForCausalLM,
        tokenizer="llama",
    ),
    "mistral": TinyFamily(
        config=_maker("mistral", **_GROUPED, sliding_window=_WINDOW),
        model=transformers.MistralForCausalLM,
        tokenizer="llama",
    ),
    "qwen2": TinyFamily(
        config=_maker("qwen2", num_key_value_heads=2, tie_word_embeddings=True),
        model=transformers.Qwen2ForCausalLM,
        tokenizer="qwen",
    ),
    "qwen3": TinyFamily(
        config=_maker("qwen3", **_GROUPED, tie_word_embeddings=True),
        model=transformers.Qwen3ForCausalLM,
        tokenizer="qwen",
    ),
    "gemma": TinyFamily(
        config=_maker("gemma", **{**_GROUPED, "num_key_value_heads": 1}),
        model=transformers.GemmaForCausalLM,
        tokenizer="gemma",
    ),
    "gemma2": TinyFamily(
        config=_maker(
            "gemma2",
            **_GROUPED,
            **_CAPS,
            query_pre_attn_scalar=16,
            sliding_window=_WINDOW,
            layer_types=True,
        ),
        model=transformers.Gemma2ForCausalLM,
        tokenizer="gemma",
    ),
    "gemma3_text": TinyFamily(
        config=_maker(
            "gemma3_text",
            **_GROUPED,
            query_pre_attn_scalar=16,
            sliding_window=_WINDOW,
            layer_types=True,
            rope_parameters=_BASES,
        ),
        model=transformers.Gemma3ForCausalLM,
        tokenizer="gemma",
    ),
    "modernbert-decoder": TinyFamily(
        config=_maker(
            "modernbert-decoder",
            local_attention=2 * _WINDOW,
            bos_token_id=2,  # [CLS]
            eos_token_id=3,  # [SEP]
            layer_types=True,
            rope_parameters=_BASES,
        ),
        model=transformers.ModernBertDecoderForCausalLM,
        tokenizer="bert",
    ),
}
