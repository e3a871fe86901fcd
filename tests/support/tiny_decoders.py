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

_GPT2 = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
    "max_position_embeddings": "n_positions",
}
_BLOOM = {"num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}
_NEO = {"num_hidden_layers": "num_layers", "num_attention_heads": "num_heads"}
_YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
    "llama_4_scaling_beta": 0.1,
}

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
    "gpt_neo": TinyFamily(
        config=maker("gpt_neo", **_NO_IDS, keys=_NEO, window_size=_WINDOW, local_layers=True),
        model=transformers.GPTNeoForCausalLM,
        tokenizer="gpt2",
    ),
    "gptj": TinyFamily(
        config=maker("gptj", **_NO_IDS, keys=_GPT2, rotary_dim=4),
        model=transformers.GPTJForCausalLM,
        tokenizer="gpt2",
    ),
    "ministral3": TinyFamily(
        config=maker("ministral3", **_NO_IDS, **_GROUPED, rope_parameters=_YARN),
        model=transformers.Ministral3ForCausalLM,
        tokenizer="llama",
    ),
    "phi3": TinyFamily(
        config=maker("phi3", **_NO_IDS, num_key_value_heads=2, sliding_window=_WINDOW),
        model=transformers.Phi3ForCausalLM,
        tokenizer="llama",
    ),
    "granite": TinyFamily(
        config=maker(
            "granite",
            **_NO_IDS,
            num_key_value_heads=2,
            attention_multiplier=0.2,
            embedding_multiplier=3.0,
            residual_multiplier=0.5,
            logits_scaling=2.0,
        ),
        model=transformers.GraniteForCausalLM,
        tokenizer="gpt2",
    ),
    "smollm3": TinyFamily(
        config=maker(
            "smollm3", **_NO_IDS, eos_token_id=None, num_key_value_heads=2, no_rope_layer_interval=2
        ),
        model=transformers.SmolLM3ForCausalLM,
        tokenizer="llama",
    ),
    "olmo2": TinyFamily(
        config=maker("olmo2", **_NO_IDS, num_key_value_heads=2),
        model=transformers.Olmo2ForCausalLM,
        tokenizer="gpt2",
    ),
    "olmo3": TinyFamily(
        config=maker(
            "olmo3", **_NO_IDS, num_key_value_heads=2, sliding_window=_WINDOW, layer_types=True
        ),
        model=transformers.Olmo3ForCausalLM,
        tokenizer="gpt2",
    ),
    "starcoder2": TinyFamily(
        config=maker("starcoder2", **_NO_IDS, num_key_value_heads=2, sliding_window=_WINDOW),
        model=transformers.Starcoder2ForCausalLM,
        tokenizer="gpt2",
    ),
    "falcon": TinyFamily(
        config=maker(
            "falcon",
            **_NO_IDS,
            keys={"intermediate_size": "ffn_hidden_size"},
            new_decoder_architecture=True,
            num_kv_heads=2,
        ),
        model=transformers.FalconForCausalLM,
        tokenizer="gpt2",
    ),
    "bloom": TinyFamily(
        config=maker("bloom", pad_token_id=None, keys=_BLOOM),
        model=transformers.BloomForCausalLM,
        tokenizer="llama",
    ),
}
