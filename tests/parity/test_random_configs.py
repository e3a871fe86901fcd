"""Configurations drawn at random, by a seed, compute what transformers computes.

Every key of a family's config.json that changes the computation is drawn; a test fails if a key is
neither drawn nor listed as one that cannot matter.
"""

import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.parity.reference import examples, reference_logits
from tests.parity.reference import logits_of as logits_of_pairs
from tests.parity.test_decoder_families import decoder_of, logits_of, reference_of, rows_of
from tests.parity.test_encoder_families import causal_logits, padded_states
from tests.support import tiny, tiny_decoders, tiny_encoders
from tests.support.tiny_seq2seq import SEQ2SEQ, seq2seq_tokenizer
from transformers import PreTrainedConfig

from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

SEED = int(os.environ.get("WARMSTART_TEST_SEED", "0"))
DRAWS = 3  # of each family
LAYERS = 4
TOLERANCE = 3e-5

ENCODERS = (*tiny.ENCODER_FAMILIES, *tiny_encoders.FAMILIES)
DECODERS = ("gpt2", *tiny_decoders.FAMILIES)

_FLAGS = (False, True)
_GELUS = ("gelu", "gelu_new", "relu", "silu")
_EPS = (1e-6, 1e-2)
_WINDOW = (3, 5, 8)
_DEFAULT = {"rope_type": "default", "rope_theta": 100.0}
_LINEAR = {"rope_type": "linear", "rope_theta": 50.0, "factor": 4.0}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
_YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
}
_YARN_2 = {**_YARN, "beta_fast": 8.0, "beta_slow": 2.0, "mscale": 1.0, "mscale_all_dim": 0.5}
_ROTARY = (_DEFAULT, _LINEAR, _LLAMA3, _YARN, _YARN_2)
_PLAIN_BY_KIND = tuple(
    {
        "full_attention": {"rope_type": "default", "rope_theta": full},
        "sliding_attention": {"rope_type": "default", "rope_theta": sliding},
    }
    for full, sliding in ((1_000.0, 10.0), (10.0, 500.0))
)
_BY_KIND = (
    *_PLAIN_BY_KIND,
    {"full_attention": _LINEAR, "sliding_attention": _DEFAULT},
    {"full_attention": _YARN, "sliding_attention": _DEFAULT},
)


def _kinds_of_layers(draw: random.Random) -> list[str]:
    kinds = ["full_attention", "sliding_attention"]
    return draw.sample(kinds, 2) + draw.choices(kinds, k=LAYERS - 2)


# Values of a key in all families; a function draws one.
CHOICES: dict[str, Sequence[Any] | Callable[[random.Random], Any]] = {
    "_remove_final_layer_norm": _FLAGS,
    "activation": _GELUS,
    "activation_function": _GELUS,
    "attention_bias": _FLAGS,
    "attention_multiplier": (0.1, 0.5),
    "attn_logit_softcapping": (None, 2.0, 5.0),
    "bias": _FLAGS,
    "classifier_activation": _GELUS,
    "classifier_bias": _FLAGS,
    "decoder_bias": _FLAGS,
    "do_layer_norm_before": _FLAGS,
    "embedding_multiplier": (1.0, 4.0),
    "embedding_size": (16, 32),
    "enable_bias": _FLAGS,
    "ffn_dim": (24, 64),
    "ffn_hidden_size": (24, 64),
    "final_logit_softcapping": (None, 2.0, 5.0),
    "global_attn_every_n_layers": (1, 2, 3),
    "head_dim": (8, 12),
    "hidden_act": _GELUS,
    "hidden_activation": _GELUS,
    "hidden_dim": (24, 64),
    "intermediate_size": (24, 64),
    "layer_norm_eps": _EPS,
    "layer_norm_epsilon": _EPS,
    "local_attention": (4, 6, 9),
    "logits_scaling": (0.5, 4.0),
    "max_window_layers": (0, 2, 4),
    "mlp_bias": _FLAGS,
    "multi_query": _FLAGS,
    "n_head": (2, 4),
    "n_heads": (2, 4),
    "n_inner": (None, 24),
    "new_decoder_architecture": _FLAGS,
    "no_rope_layers": lambda draw: draw.choices((0, 1), k=LAYERS),
    "norm_bias": _FLAGS,
    "norm_eps": _EPS,
    "norm_epsilon": _EPS,
    "num_attention_heads": (2, 4),
    "num_heads": (2, 4),
    "num_key_value_heads": (1, 2),
    "num_kv_heads": (1, 2),
    "num_ln_in_parallel_attn": (None, 1, 2),
    "parallel_attn": _FLAGS,
    "query_pre_attn_scalar": (4, 16),
    "residual_multiplier": (0.5, 2.0),
    "rms_norm_eps": _EPS,
    "rope_parameters": _ROTARY,
    "rotary_dim": (2, 4, 8),
    "scale_attn_weights": _FLAGS,
    "sinusoidal_pos_embds": _FLAGS,
    "sliding_window": (None, *_WINDOW),
    "task_type_vocab_size": (1, 3),
    "tie_word_embeddings": _FLAGS,
    "type_vocab_size": (1, 2),
    "use_bias": _FLAGS,
    "use_parallel_residual": _FLAGS,
    "use_sliding_window": _FLAGS,
    "use_task_id": _FLAGS,
    "window_size": _WINDOW,
    "word_embed_proj_dim": (16, 32),
    "attention_types": lambda draw: [[draw.choices(("global", "local"), k=LAYERS), 1]],
}
# In one family other values, or none: such a key keeps the tiny family's.
OWN: dict[str, dict[str, Sequence[Any] | Callable[[random.Random], Any]]] = {
    **{
        # An untied head of these has two biases, and is refused.
        family: {"tie_word_embeddings": (True,)}
        for family in ENCODERS
    },
    "eurobert": {},
    "gpt_neox": {
        "rope_parameters": tuple(
            {**positions, "partial_rotary_factor": part}
            for positions in (_DEFAULT, _LINEAR, _YARN)
            for part in (0.5, 1.0)
        )
    },
    "gemma": {"hidden_act": ("gelu_pytorch_tanh", "relu")},  # its "gelu" is the approximation
    "gemma2": {"sliding_window": _WINDOW, "layer_types": _kinds_of_layers},
    "gemma3_text": {
        "sliding_window": _WINDOW,
        "layer_types": _kinds_of_layers,
        "rope_parameters": _BY_KIND,
    },
    "olmo3": {
        "sliding_window": _WINDOW,
        "layer_types": _kinds_of_layers,
        "rope_parameters": _BY_KIND,
    },
    "modernbert": {
        "tie_word_embeddings": (True,),
        "rope_parameters": _PLAIN_BY_KIND,
    },
    "modernbert-decoder": {
        "sliding_window": _WINDOW,  # precedes local_attention, from which it is derived
        "layer_types": _kinds_of_layers,
        "rope_parameters": _PLAIN_BY_KIND,
        "decoder_bias": (False,),
    },
    "nomic_bert": {"tie_word_embeddings": (True,), "rope_parameters": (_DEFAULT, _LINEAR)},
    "ministral3": {
        "rope_parameters": tuple(
            {**positions, "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 32}
            for positions in (_YARN, _YARN_2)
        )
    },
    "phi3": {"rope_parameters": ({**_DEFAULT, "partial_rotary_factor": 0.5}, _DEFAULT)},
    "bloom": {"hidden_size": (48,), "n_head": (2, 4, 6, 8)},
}
# What cannot change logits: sizes of tables, ids, rates of dropout, initialization, other heads.
CANNOT_MATTER = {
    "add_cross_attention",
    "attention_layers",  # of attention_types
    "bos_token_id",
    "classifier_pooling",
    "cls_token_id",
    "deterministic_flash_attn",
    "eos_token_id",
    "init_std",
    "initializer_cutoff_factor",
    "initializer_range",
    "is_decoder",
    "layerdrop",  # in training
    "mask_token_id",
    "max_position_embeddings",
    "n_positions",
    "no_rope_layer_interval",  # no_rope_layers are given
    "original_max_position_embeddings",  # beyond the lengths here
    "pad_token_id",
    "pretraining_tp",
    "reorder_and_upcast_attn",  # of types
    "sep_token_id",
    "slow_but_exact",
    "sparse_pred_ignore_index",
    "sparse_prediction",  # of the labels
    "summary_activation",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "use_cache",
    "vocab_size",
}
# Values that are refused or tested elsewhere.
OTHERWISE = {
    "alibi",
    "apply_residual_connection_post_layernorm",
    "layer_norm_elementwise_affine",
    "relative_attention_num_buckets",
    "scale_attn_by_inverse_layer_idx",
    "use_bidirectional_attention",
    # Sizes, which other tests vary.
    "_sliding_window_pattern",
    "dim",
    "hidden_size",
    "n_embd",
    "n_layer",
    "n_layers",
    "num_hidden_layers",
    "num_layers",
    "layer_types",  # derived from other keys, but where drawn
}


def choices_of(family: str) -> dict[str, Sequence[Any] | Callable[[random.Random], Any]]:
    config = tiny.config_of(family).to_dict()
    common = {key: values for key, values in CHOICES.items() if key in config}
    return {**common, **OWN.get(family, {})}


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_every_key_is_drawn_or_cannot_matter(family: str) -> None:
    keys = tiny.config_of(family).to_dict().keys() - PreTrainedConfig().to_dict().keys()
    rates = {key for key in keys if "drop" in key}
    left = keys - choices_of(family).keys() - rates - CANNOT_MATTER - OTHERWISE
    assert not left


def drawn(family: str, number: int) -> PreTrainedConfig:
    """A configuration by a seed, which is printed where a test fails."""
    seed = f"{SEED} {family} {number}"
    draw = random.Random(seed)
    values = {
        key: choices(draw) if callable(choices) else draw.choice(choices)
        for key, choices in sorted(choices_of(family).items())
    }
    if family == "falcon":
        if values["new_decoder_architecture"]:
            values["parallel_attn"] = True
        elif values["num_ln_in_parallel_attn"] == 2:
            values["num_ln_in_parallel_attn"] = None
        values["num_kv_heads"] = (
            values["num_kv_heads"] if values["new_decoder_architecture"] else None
        )
    if family == "opt" and values["do_layer_norm_before"]:
        values["word_embed_proj_dim"] = 32  # no published one has another then
    base = tiny.config_of(family, layers=LAYERS)
    derived = ("layer_types", "attention_layers", "no_rope_layers")
    kept = {key: value for key, value in base.to_dict().items() if key not in derived}
    sys.stdout.write(f"seed {seed!r}: {values}\n")
    return type(base)(**{**kept, **values})


def save(config: PreTrainedConfig, family: str, folder: Path) -> Path:
    tiny.pretrained(config).save_pretrained(folder)
    tiny.tokenizer_of(family).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("number", range(DRAWS))
@pytest.mark.parametrize("family", DECODERS)
def test_decoders(family: str, number: int, tmp_path: Path) -> None:
    folder = save(drawn(family, number), family, tmp_path / "model")
    model, reference = decoder_of(folder), reference_of(folder)
    rows = rows_of(model)
    with torch.no_grad():
        theirs = torch.cat([reference(torch.tensor([row])).logits[0] for row in rows])
    assert theirs.std() > 0.02, "the reference must say something"
    torch.testing.assert_close(logits_of(model, rows), theirs, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("number", range(DRAWS))
@pytest.mark.parametrize("family", ENCODERS)
def test_encoders(family: str, number: int, checkpoints: tiny.Checkpoints, tmp_path: Path) -> None:
    """States as an encoder, and the head's logits over a causal mask."""
    folder = save(drawn(family, number), family, tmp_path / "model")
    model = Seq2Seq.warm_start(encoder=folder, decoder=checkpoints("bert"))
    rows = model.encode_sources(tiny.SENTENCES)
    assert model.model.encoder is not None
    reference = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        ours = model.model.encoder.eval()(Sequences.of(rows))
    theirs = padded_states(reference, rows)
    torch.testing.assert_close(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)
    decoder = Seq2Seq.warm_start(encoder=None, decoder=folder)
    rows = decoder.encode_targets(tiny.SENTENCES)
    with_head = tiny.pretrained_class(family).from_pretrained(folder).eval()
    with torch.no_grad():
        logits = logits_of(decoder.model.eval(), rows)
        expected = [causal_logits(with_head, decoder.model.decoder, row) for row in rows]
    torch.testing.assert_close(logits, torch.cat(expected), rtol=TOLERANCE, atol=TOLERANCE)


_HALVES = {
    f"{half}_{key}": values
    for half in ("encoder", "decoder")
    for key, values in {"attention_heads": (2, 4), "ffn_dim": (24, 48), "layers": (1, 3)}.items()
}
_BART: Mapping[str, Sequence[Any]] = {
    **_HALVES,
    "activation_function": _GELUS,
    "scale_embedding": _FLAGS,
}
_T5: Mapping[str, Sequence[Any]] = {
    "d_ff": (24, 48),
    "d_kv": (8, 16),
    "feed_forward_proj": ("relu", "gated-gelu", "gated-silu", "silu"),
    "layer_norm_epsilon": _EPS,
    "num_heads": (2, 4),
    "relative_attention_max_distance": (8, 12),
    "relative_attention_num_buckets": (6, 8),
    "tie_word_embeddings": _FLAGS,
}
_GEMMA: Mapping[str, Sequence[Any]] = {
    "attn_logit_softcapping": (None, 3.0),
    "head_dim": (4, 8),
    "hidden_activation": _GELUS,
    "intermediate_size": (24, 48),
    "num_attention_heads": (2, 4),
    "num_key_value_heads": (1, 2),
    "query_pre_attn_scalar": (4, 16),
    "rms_norm_eps": _EPS,
    "sliding_window": _WINDOW,
}
SEQ2SEQ_CHOICES: dict[str, Mapping[str, Sequence[Any]]] = {
    "bart": _BART,
    "marian": _BART,
    "t5": _T5,
    "mt5": _T5,
    "t5gemma": _GEMMA,
}


@pytest.mark.filterwarnings("ignore:.*tied weights mapping")
@pytest.mark.parametrize("number", range(DRAWS))
@pytest.mark.parametrize("name", SEQ2SEQ_CHOICES)
def test_encoder_decoders(name: str, number: int, tmp_path: Path) -> None:
    seed = f"{SEED} {name} {number}"
    draw, choices = random.Random(seed), SEQ2SEQ_CHOICES[name]
    values = {key: draw.choice(choices[key]) for key in sorted(choices)}
    base = SEQ2SEQ[name].config()
    kept = base.to_dict()
    for derived in ("is_gated_act", "dense_act_fn"):
        kept.pop(derived, None)
    if name == "t5gemma":
        cap = draw.choice((None, 4.0))
        decoder = {**kept["decoder"], **values, "final_logit_softcapping": cap}
        decoder["hidden_size"] = 32
        kept |= {"encoder": {**kept["encoder"], **values}, "decoder": decoder}
        values = {}
    config = type(base)(**{**kept, **values})
    sys.stdout.write(f"seed {seed!r}: {config}\n")
    torch.manual_seed(number)
    reference = SEQ2SEQ[name].model(config)
    tiny.perturb(reference)
    reference.save_pretrained(tmp_path)
    seq2seq_tokenizer(name).save_pretrained(tmp_path)
    reference = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    model = Seq2Seq.from_pretrained(tmp_path, device="cpu")
    sources, targets = examples(model)
    theirs = reference_logits(reference, model, sources, targets)
    ours = logits_of_pairs(model.model, sources, targets)
    torch.testing.assert_close(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)
