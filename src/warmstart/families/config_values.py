"""The types and ranges of values in config.json, for all families."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le

from warmstart.errors import CheckpointError
from warmstart.families.family import Config

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["check_values"]

_Size = Annotated[int, Ge(1), Le(2**26)]
_Layers = Annotated[int, Ge(1), Le(10_000)]
_Count = Annotated[int, Ge(0), Le(2**26)]
_Positive = Annotated[float, Gt(0)]
_Rate = Annotated[float, Ge(0), Le(1)]

_KEYS: tuple[tuple[Any, str], ...] = (
    (
        _Size,
        "d_ff d_kv d_model decoder_attention_heads decoder_ffn_dim decoder_vocab_size dim "
        "embedding_size encoder_attention_heads encoder_ffn_dim ffn_dim ffn_hidden_size "
        "global_attn_every_n_layers head_dim hidden_dim hidden_size intermediate_size "
        "local_attention max_position_embeddings max_trained_positions n_embd n_head n_heads "
        "n_inner n_positions no_rope_layer_interval num_attention_heads num_heads "
        "num_key_value_heads num_kv_heads original_max_position_embeddings "
        "relative_attention_max_distance relative_attention_num_buckets rotary_dim "
        "sliding_window_pattern task_type_vocab_size vocab_size window_size word_embed_proj_dim",
    ),
    (_Layers, "n_layer n_layers num_decoder_layers num_hidden_layers num_layers"),
    (_Layers, "decoder_layers encoder_layers"),
    (_Count, "max_window_layers num_ln_in_parallel_attn type_vocab_size"),
    (int, "sliding_window"),
    (
        _Positive,
        "attn_logit_softcapping final_logit_softcapping layer_norm_eps layer_norm_epsilon "
        "local_rope_theta logits_scaling norm_eps norm_epsilon partial_rotary_factor "
        "query_pre_attn_scalar rms_norm_eps rope_local_base_freq rope_theta rotary_emb_base "
        "rotary_pct global_rope_theta",
    ),
    (float, "attention_multiplier embedding_multiplier residual_multiplier"),
    (
        _Rate,
        "activation_dropout attention_dropout attention_probs_dropout_prob attn_pdrop dropout "
        "dropout_rate embedding_dropout hidden_dropout hidden_dropout_prob mlp_dropout "
        "resid_dropout resid_pdrop residual_dropout",
    ),
    (Annotated[float, Ge(0)], "init_std initializer_range"),
    (
        bool,
        "alibi attention_bias bias classifier_bias decoder_bias do_layer_norm_before enable_bias "
        "mlp_bias multi_query new_decoder_architecture norm_bias parallel_attn "
        "scale_attn_by_inverse_layer_idx scale_attn_weights scale_embedding tie_word_embeddings "
        "use_bias use_parallel_residual use_qkv_bias use_sliding_window use_task_id",
    ),
    (
        str,
        "activation activation_function classifier_activation feed_forward_proj hidden_act "
        "hidden_activation position_embedding_type",
    ),
    (list[str], "layer_types"),
    (list[int], "no_rope_layers"),
    (list[list[list[str] | int]], "attention_types"),
)
_ROTARY: tuple[tuple[Any, str], ...] = (
    (
        _Positive,
        "attention_factor beta_fast beta_slow factor high_freq_factor low_freq_factor mscale "
        "mscale_all_dim partial_rotary_factor rope_theta",
    ),
    (_Size, "original_max_position_embeddings"),
    (float, "llama_4_scaling_beta"),
    (str, "rope_type type"),
    (list[_Positive], "long_factor short_factor"),
)
_BY_KIND = ("full_attention", "sliding_attention")


def check_values(config: Config, name: str) -> None:
    """Rejects values of a wrong type or range; unknown keys pass.

    Args:
        config: config.json.
        name: the checkpoint's, for the error.

    Raises:
        CheckpointError: with the first such value.
    """
    from pydantic import ValidationError

    try:
        _adapter().validate_python(dict(config))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in problem["loc"])
        requirement = problem["msg"][0].lower() + problem["msg"][1:]
        raise CheckpointError(
            f"The config of {name} has {key} {problem['input']!r:.80}, but its {requirement}. "
            "Restore the config.json that the checkpoint was saved with."
        ) from None


@cache
def _adapter() -> "TypeAdapter[Any]":
    """Pydantic's validator of the keys; made when first needed, as pydantic takes long to load."""
    from pydantic import ConfigDict, TypeAdapter, with_config
    from typing_extensions import TypedDict

    strict = with_config(ConfigDict(strict=True, extra="ignore"))

    def keys(table: tuple[tuple[Any, str], ...]) -> dict[str, Any]:
        return {key: kind | None for kind, names in table for key in names.split()}

    def values(name: str, types: Mapping[str, Any]) -> Any:
        return strict(TypedDict(name, dict(types), total=False))  # type: ignore[operator]

    one: Any = values("RotaryValues", keys(_ROTARY))
    rotary: Any = values(
        "RotaryValuesByKind", {**keys(_ROTARY), **dict.fromkeys(_BY_KIND, one | None)}
    )
    both = dict.fromkeys(("rope_parameters", "rope_scaling"), rotary | None)
    return TypeAdapter(values("ConfigValues", {**keys(_KEYS), **both}))
