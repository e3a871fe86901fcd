"""Values of config.json of a wrong type or range, and quantized checkpoints: a sentence each."""

from typing import Any

import pytest
import transformers
from tests.support import tiny, tiny_decoders, tiny_encoders

from warmstart.checkpoint.files import open_checkpoint
from warmstart.errors import CheckpointError
from warmstart.families.catalogue import FAMILIES, family_of
from warmstart.families.config_values import check_values

TYPES = [name for family in FAMILIES for name in family.model_types]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_act", {"class_name": "GELU"}),
        ("num_attention_heads", "4"),
        ("num_attention_heads", 0),
        ("num_attention_heads", True),
        ("hidden_size", [32]),
        ("hidden_size", 32.5),
        ("hidden_size", 10**12),
        ("num_hidden_layers", -1),
        ("num_hidden_layers", 10**6),
        ("layer_norm_eps", "1e-12"),
        ("rms_norm_eps", float("nan")),
        ("tie_word_embeddings", "true"),
        ("layer_types", "full_attention"),
        ("layer_types", [1, 2]),
        ("rope_parameters", [1.0]),
        ("rope_scaling", {"rope_type": "linear", "factor": "4"}),
        ("rope_parameters", {"full_attention": {"rope_theta": 0}}),
        ("sliding_window", "3"),
        ("attention_types", [["global", 2]]),
    ],
)
def test_a_value_is_refused_by_its_key(key: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=f"config of some/checkpoint has {key}") as caught:
        check_values({key: value}, "some/checkpoint")
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match=key):
        family_of({"model_type": "llama", key: value}, "some/checkpoint")


@pytest.mark.parametrize("model_type", TYPES)
def test_transformers_own_configs_pass(model_type: str) -> None:
    check_values(transformers.AutoConfig.for_model(model_type).to_dict(), "its default")
    name = next(family.name for family in FAMILIES if model_type in family.model_types)
    assert name in (*tiny.FAMILIES, *tiny_encoders.FAMILIES, *tiny_decoders.FAMILIES)
    check_values(tiny.config_of(name).to_dict(), "a tiny one")


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq", "fp8", None])
def test_a_quantized_checkpoint_is_refused(
    method: str | None, checkpoints: tiny.Checkpoints, tmp_path: Any
) -> None:
    config = transformers.AutoConfig.from_pretrained(checkpoints("bert"))
    (tmp_path / "config.json").write_text(
        config.to_json_string(use_diff=False).rstrip()[:-1]
        + ',"quantization_config": '
        + ("{}" if method is None else f'{{"quant_method": "{method}"}}')
        + "}"
    )
    with pytest.raises(CheckpointError, match=r"is quantized.*that it was quantized from"):
        open_checkpoint(tmp_path)
    assert open_checkpoint(tmp_path, weights=False).config["model_type"] == "bert"
