"""Tiny decoder-only families, by their model_type.

Query heads are grouped where a family can, windows are shorter than the tests' sequences, and soft
caps are low enough to bend the scores.
"""

import transformers
from tests.support.tiny_family import TinyFamily, maker

__all__ = ["FAMILIES"]

_WINDOW = 5  # tokens
_GROUPED = {"num_key_value_heads": 2, "head_dim": 12}  # not the width over the heads
_CAPS = {"attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0}
_BASES = {
    "full_attention": {"rope_type": "default", "rope_theta": 1_000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10.0},
}
_NO_IDS = {"pad_token_id": None, "bos_token_id": None}  # their defaults are of large vocabularies

FAMILIES: dict[str, TinyFamily] = {
    "gpt_neox": TinyFamily(
        config=maker(
            "gpt_neox", **_NO_IDS, rope_parameters={"rope_theta": 100.0, "rope_type": "default"}
        ),
        model=transformers.GPTNeoXForCausalLM,
        tokenizer="gpt2",
    ),
    "opt": TinyFamily(
        config=maker("opt", keys={"intermediate_size": "ffn_dim"}),
        model=transformers.OPTForCausalLM,
        tokenizer="opt",
    ),
    "llama": TinyFamily(
        config=maker("llama", **_NO_IDS, **_GROUPED),
        model=transformers.LlamaForCausalLM,
        tokenizer="llama",
    ),
    "mistral": TinyFamily(
        config=maker("mistral", **_NO_IDS, **_GROUPED, sliding_window=_WINDOW),
        model=transformers.MistralForCausalLM,
        tokenizer="llama",
    ),
    "qwen2": TinyFamily(
        config=maker("qwen2", **_NO_IDS, num_key_value_heads=2, tie_word_embeddings=True),
        model=transformers.Qwen2ForCausalLM,
        tokenizer="qwen",
    ),
    "qwen3": TinyFamily(
        config=maker("qwen3", **_NO_IDS, **_GROUPED, tie_word_embeddings=True),
        model=transformers.Qwen3ForCausalLM,
        tokenizer="qwen",
    ),
    "gemma": TinyFamily(
        config=maker("gemma", **_NO_IDS, **{**_GROUPED, "num_key_value_heads": 1}),
        model=transformers.GemmaForCausalLM,
        tokenizer="gemma",
    ),
    "gemma2": TinyFamily(
        config=maker(
            "gemma2",
            **_NO_IDS,
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
        config=maker(
            "gemma3_text",
            **_NO_IDS,
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
        config=maker(
            "modernbert-decoder",
            pad_token_id=None,
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
