"""Rotary positions and windows by the files of all years, against transformers' own reading."""

from typing import Any

import pytest
import torch
import transformers

from warmstart.errors import CheckpointError
from warmstart.families.catalogue import family_of
from warmstart.families.rotary import rotary, windows
from warmstart.model.config import Rotary, RotaryScaling, StackConfig
from warmstart.model.position import rotation

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
}
LLAMA3: dict[str, Any] = {
    "factor": 32.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"factor": 8.0}
# What hub files of different years say: (model_type, values).
WRITTEN: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("llama", {}),
    "a base": ("llama", {"rope_theta": 500_000.0, "rope_scaling": None}),
    "llama3": ("llama", {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}}),
    "type": ("llama", {"rope_scaling": {"type": "linear", **LINEAR}}),
    "type and a base in one": (
        "llama",
        {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "rope_theta": 900.0, **LINEAR}},
    ),
    "rope_parameters": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 700.0, **LINEAR}},
    ),
    "rope_parameters without a base": (
        "llama",
        {"rope_theta": 700.0, "rope_parameters": {"rope_type": "default"}},
    ),
    "gpt-neox": ("gpt_neox", {"rotary_emb_base": 500.0, "rotary_pct": 0.5}),
    "gpt-neox, nothing": ("gpt_neox", {}),
    "gemma3": (
        "gemma3_text",
        {
            "rope_theta": 1e6,
            "rope_local_base_freq": 500.0,
            "rope_scaling": {"rope_type": "linear", **LINEAR},
            "sliding_window_pattern": 3,
        },
    ),
    "gemma3, nothing": ("gemma3_text", {}),
    "gemma3, rope_parameters": (
        "gemma3_text",
        {
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 2e6, **LINEAR},
                "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
            },
            "layer_types": ["full_attention", "sliding_attention"] * 4,
        },
    ),
    "gemma3, both scaled alike": (
        "gemma3_text",
        {
            "rope_parameters": {
                kind: {"rope_type": "linear", "rope_theta": 2e6, **LINEAR}
                for kind in ("full_attention", "sliding_attention")
            }
        },
    ),
    "modernbert-decoder": (
        "modernbert-decoder",
        {
            "global_rope_theta": 5_000.0,
            "local_rope_theta": 50.0,
            "global_attn_every_n_layers": 2,
        },
    ),
    "yarn": ("llama", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}),
    "yarn, all of its options": (
        "mistral",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 5e5,
                "factor": 8.0,
                "original_max_position_embeddings": 32,
                "beta_fast": 16.0,
                "beta_slow": 2.0,
                "mscale": 1.0,
                "mscale_all_dim": 0.5,
                "truncate": False,
            }
        },
    ),
    "yarn, an amplitude": (
        "qwen3",
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.25}},
    ),
    "yarn, part of a head": (
        "gpt_neox",
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}, "rotary_pct": 0.5},
    ),
    "longrope": (
        "phi3",
        {
            "original_max_position_embeddings": 32,
            "rope_scaling": {
                "type": "longrope",
                "short_factor": [1.0, 1.1, 1.2, 1.5],
                "long_factor": [2.0, 3.0, 4.0, 5.0],
            },
        },
    ),
    "olmo3, yarn": (
        "olmo3",
        {
            "rope_theta": 5e5,
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 8.0,
                "original_max_position_embeddings": 32,
            },
        },
    ),
    "ministral3, nothing": ("ministral3", {}),
    "smollm3, nothing": ("smollm3", {}),
    "qwen2, use_sliding_window": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 5},
    ),
    "qwen2, sliding_window unused": ("qwen2", {"sliding_window": 16, "max_window_layers": 5}),
    "mistral, null": ("mistral", {"sliding_window": None}),
    "gemma2": ("gemma2", {"sliding_window": 16}),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_reads_as_transformers_reads_it(name: str) -> None:
    """transformers' reading, written out whole in its own words of today, gives the same stack."""
    model_type, values = WRITTEN[name]
    given = {"model_type": model_type, **SIZES, **values}
    whole = transformers.AutoConfig.for_model(**given).to_dict()
    assert "rope_parameters" in whole
    assert stack_of(given) == stack_of(whole)


@pytest.mark.parametrize("name", WRITTEN)
def test_frequencies_are_transformers(name: str) -> None:
    model_type, values = WRITTEN[name]
    given = {"model_type": model_type, **SIZES, **values}
    config = transformers.AutoConfig.for_model(**given)
    torch.manual_seed(0)
    module = transformers.AutoModel.from_config(config).rotary_emb
    theirs = dict(module.named_buffers())
    stack = stack_of(given)
    assert stack.rotary is not None
    kinds = {"inv_freq": False}
    if "inv_freq" not in theirs:
        kinds = {"full_attention_inv_freq": False, "sliding_attention_inv_freq": True}
    for key, local in kinds.items():
        angles = rotation(stack.rotary, stack.attention.head_size, torch.tensor([3]), local=local)
        half = angles.cosines.flatten()[: len(theirs[key])]
        amplitude = getattr(module, key.replace("inv_freq", "attention_scaling"))
        expected = (3 * theirs[key]).cos() * amplitude
        torch.testing.assert_close(half, expected, rtol=0, atol=1e-6)


def test_values() -> None:
    """The same by hand, once."""
    config = {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}}
    assert rotary(config, limit=256) == Rotary(
        theta=500_000.0,
        limit=256,
        scaling=RotaryScaling(kind="llama3", factor=32.0, original_limit=64),
    )
    assert rotary({}, limit=8, size=2, theta_key="base", default_theta=7.0) == Rotary(
        theta=7.0, limit=8, size=2
    )


@pytest.mark.parametrize("kind", ["dynamic", "proportional"])
@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_other_scaling_is_refused(kind: str, key: str) -> None:
    config = {"model_type": "qwen2", **SIZES, key: {"rope_type": kind, "factor": 4.0}}
    with pytest.raises(CheckpointError, match=f"by '{kind}'.*'default', 'linear', 'llama3'"):
        stack_of(config)


def test_longrope_serves_the_original_context_alone() -> None:
    """Beyond it there are other factors, which would change in the middle of a decoding."""
    model_type, values = WRITTEN["longrope"]
    stack = stack_of({"model_type": model_type, **SIZES, **values})
    assert SIZES["max_position_embeddings"] == 256
    assert stack.position_limit == 32
    short = {**values["rope_scaling"], "short_factor": [1.0]}
    with pytest.raises(CheckpointError, match="short_factor is not a list of 4 numbers"):
        stack_of({"model_type": model_type, **SIZES, **values, "rope_scaling": short})


@pytest.mark.parametrize("beta", [0.1, None])
def test_ministral_serves_the_context_that_its_queries_are_not_scaled_for(
    beta: float | None,
) -> None:
    positions = {
        "rope_type": "yarn",
        "rope_theta": 100.0,
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "llama_4_scaling_beta": beta,
    }
    stack = stack_of({"model_type": "ministral3", **SIZES, "rope_parameters": positions})
    assert stack.position_limit == (256 if beta is None else 64)


def test_scaling_without_its_values_is_refused() -> None:
    with pytest.raises(CheckpointError, match="by 'llama3', but has no 'low_freq_factor'"):
        rotary({"rope_scaling": {"type": "llama3", "factor": 8.0}}, limit=8)


def test_scaling_of_local_layers_is_that_of_all_or_none() -> None:
    linear = {"rope_type": "linear", "rope_theta": 10.0, "factor": 2.0}
    both = {"full_attention": linear, "sliding_attention": linear}
    positions = rotary({"rope_parameters": both}, limit=8)
    assert positions.local_theta is None
    assert positions.scaling == RotaryScaling(kind="linear", factor=2.0)
    assert rotary({"rope_parameters": both}, limit=8, local_theta_key="base") == positions
    mixed = {"full_attention": linear, "sliding_attention": {**linear, "factor": 3.0}}
    with pytest.raises(CheckpointError, match="sliding_attention layers differently"):
        rotary({"rope_parameters": mixed}, limit=8)


def test_windows_follow_the_list_before_the_formula() -> None:
    kinds = ["full_attention", "sliding_attention", "full_attention"]
    assert windows({"layer_types": kinds}, 3, 4, lambda layer: True) == (None, 4, None)
    assert windows({}, 3, 4, lambda layer: layer > 1) == (None, None, 4)
    assert windows({}, 3, None, lambda layer: True) is None
    assert windows({"layer_types": ["full_attention"] * 3}, 3, 4, lambda layer: True) is None


@pytest.mark.parametrize(
    ("kinds", "span", "message"),
    [
        (["full_attention"], 4, "layer_types name 1 layers and the checkpoint has 2"),
        (["full_attention", "chunked_attention"], 4, "layer_types have 'chunked_attention'"),
        (["full_attention", "sliding_attention"], None, "the window has no width"),
    ],
)
def test_layer_types_that_cannot_be_followed(
    kinds: list[str], span: int | None, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        windows({"layer_types": kinds}, 2, span, lambda layer: True)


def stack_of(config: dict[str, Any]) -> StackConfig:
    return family_of(config, "test").stack(config)
