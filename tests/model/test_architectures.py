"""A `Stack` computes what transformers' models of very different architectures compute.

Their weights are copied by hand here, so that what a `StackConfig` can say is tested before there
is a family that says it.
"""

from collections.abc import Callable

import pytest
import torch
import transformers
from tests.support.tiny import perturb
from torch import Tensor, nn

from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    LearnedPositions,
    NormConfig,
    Rotary,
    RotaryScaling,
    StackConfig,
)
from warmstart.model.sequences import Sequences
from warmstart.model.stack import Stack

VOCABULARY, HIDDEN, HEADS, KV_HEADS, HEAD, INNER, LAYERS, LIMIT = 50, 24, 4, 2, 8, 40, 4, 64
LENGTHS = (9, 4, 17)
RMS = NormConfig(kind="rms", eps=1e-6)
GEMMA_NORM = NormConfig(kind="rms", eps=1e-6, unit_offset=True)

Weights = dict[str, Tensor]


def decoder_config(**changes: object) -> StackConfig:
    """Llama's; other architectures are changes of it."""
    values: dict[str, object] = {
        "hidden_size": HIDDEN,
        "layers": LAYERS,
        "embedding": EmbeddingConfig(vocabulary=VOCABULARY, size=HIDDEN),
        "attention": attention(),
        "feed_forward": FeedForwardConfig(size=INNER, activation="silu", gated=True, bias=False),
        "norm": RMS,
        "norm_order": "pre",
        "final_norm": True,
        "rotary": Rotary(limit=LIMIT),
        "causal": True,
    }
    return StackConfig(**{**values, **changes})  # type: ignore[arg-type]


def attention(
    *,
    bias: bool = False,
    scale: float | None = None,
    soft_cap: float | None = None,
    query_key_norm: NormConfig | None = None,
) -> AttentionConfig:
    return AttentionConfig(
        heads=HEADS,
        key_value_heads=KV_HEADS,
        head_size=HEAD,
        query_key_value_bias=bias,
        output_bias=False,
        scale=scale,
        soft_cap=soft_cap,
        query_key_norm=query_key_norm,
    )


THEIRS = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD,
    "max_position_embeddings": LIMIT,
    "pad_token_id": 0,
}
ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
LINEAR = RotaryScaling(kind="linear", factor=4.0)
LLAMA3 = RotaryScaling(
    kind="llama3",
    factor=8.0,
    low_frequency_factor=1.0,
    high_frequency_factor=4.0,
    original_limit=32,
)
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LOCAL_AND_GLOBAL = ["sliding_attention", "full_attention"] * 2


def llama(rope: dict[str, object]) -> nn.Module:
    config = transformers.LlamaConfig(**THEIRS, rms_norm_eps=1e-6, rope_parameters=rope)
    return transformers.LlamaModel(config)


def qwen2() -> nn.Module:
    config = transformers.Qwen2Config(**THEIRS, rms_norm_eps=1e-6, rope_parameters=ROPE)
    return transformers.Qwen2Model(config)


def qwen3() -> nn.Module:
    config = transformers.Qwen3Config(**THEIRS, rms_norm_eps=1e-6, rope_parameters=ROPE)
    return transformers.Qwen3Model(config)


def gemma2() -> nn.Module:
    config = transformers.Gemma2Config(
        **THEIRS,
        rms_norm_eps=1e-6,
        rope_parameters=ROPE,
        query_pre_attn_scalar=16,
        attn_logit_softcapping=3.0,
        sliding_window=5,
        layer_types=LOCAL_AND_GLOBAL,
        attn_implementation="eager",  # the only one of theirs with a soft cap
    )
    return transformers.Gemma2Model(config)


def gemma3() -> nn.Module:
    config = transformers.Gemma3TextConfig(
        **THEIRS,
        rms_norm_eps=1e-6,
        query_pre_attn_scalar=16,
        sliding_window=5,
        layer_types=LOCAL_AND_GLOBAL,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        },
    )
    return transformers.Gemma3TextModel(config)


GEMMA = {
    "embedding": EmbeddingConfig(vocabulary=VOCABULARY, size=HIDDEN, scale=HIDDEN**0.5),
    "feed_forward": FeedForwardConfig(size=INNER, activation="gelu_tanh", gated=True, bias=False),
    "norm": GEMMA_NORM,
    "norm_order": "sandwich",
    "windows": (5, None, 5, None),
}
DECODERS: dict[str, tuple[StackConfig, Callable[[], nn.Module]]] = {
    "llama": (decoder_config(), lambda: llama(ROPE)),
    "llama, linear scaling": (
        decoder_config(rotary=Rotary(limit=LIMIT, scaling=LINEAR)),
        lambda: llama({"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}),
    ),
    "llama 3 scaling": (
        decoder_config(rotary=Rotary(limit=LIMIT, scaling=LLAMA3)),
        lambda: llama(LLAMA3_ROPE),
    ),
    "qwen2": (decoder_config(attention=attention(bias=True)), qwen2),
    "qwen3": (decoder_config(attention=attention(query_key_norm=RMS)), qwen3),
    "gemma2": (
        decoder_config(**GEMMA, attention=attention(scale=0.25, soft_cap=3.0)),
        gemma2,
    ),
    "gemma3": (
        decoder_config(
            **GEMMA,
            attention=attention(scale=0.25, query_key_norm=GEMMA_NORM),
            rotary=Rotary(limit=LIMIT, scaling=LINEAR, local_theta=100.0),
        ),
        gemma3,
    ),
}


@pytest.mark.parametrize("name", DECODERS)
def test_modern_decoders(name: str) -> None:
    config, make = DECODERS[name]
    reference, stack = make(), Stack(config)
    torch.manual_seed(0)
    perturb(reference, 0.3)
    copy_decoder(reference, stack)
    assert_same_states(reference, stack)
    assert_steps_equal(stack)


def test_modernbert_encoder() -> None:
    """Rotary, local layers with another base, no first norm, no biases, gated feed-forward."""
    config = transformers.ModernBertConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=LIMIT,
        local_attention=6,
        global_attn_every_n_layers=2,
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 10_000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        },
        pad_token_id=0,
        attn_implementation="sdpa",
    )
    reference = transformers.ModernBertModel(config)
    torch.manual_seed(0)
    perturb(reference, 0.3)
    norm = NormConfig(eps=1e-5, bias=False)
    stack = Stack(
        StackConfig(
            hidden_size=HIDDEN,
            layers=LAYERS,
            embedding=EmbeddingConfig(vocabulary=VOCABULARY, size=HIDDEN, norm=norm),
            attention=AttentionConfig(
                heads=HEADS,
                key_value_heads=HEADS,
                head_size=HIDDEN // HEADS,
                query_key_value_bias=False,
                output_bias=False,
            ),
            feed_forward=FeedForwardConfig(size=INNER, gated=True, bias=False),
            norm=norm,
            norm_order="pre",
            first_attention_norm=False,
            final_norm=True,
            rotary=Rotary(limit=LIMIT, local_theta=100.0),
            windows=(None, 4, None, 4),  # 6 // 2 to either side, and itself
        )
    )
    theirs, ours = reference.state_dict(), {}
    ours["embedding.word.weight"] = theirs["embeddings.tok_embeddings.weight"]
    ours["embedding.norm.weight"] = theirs["embeddings.norm.weight"]
    ours["final_norm.weight"] = theirs["final_norm.weight"]
    for layer in range(LAYERS):
        for mine, other in (
            ("self_attention.qkv", "attn.Wqkv"),
            ("self_attention.output", "attn.Wo"),
            ("self_attention.norm", "attn_norm"),
            ("feed_forward.up", "mlp.Wi"),
            ("feed_forward.down", "mlp.Wo"),
            ("feed_forward.norm", "mlp_norm"),
        ):
            if (layer, other) != (0, "attn_norm"):
                ours[f"blocks.{layer}.{mine}.weight"] = theirs[f"layers.{layer}.{other}.weight"]
    stack.load_state_dict(ours)
    assert_same_states(reference, stack)


def test_electra_encoder() -> None:
    """An embedding of another width with its projection."""
    size = 16
    config = transformers.ElectraConfig(
        vocab_size=VOCABULARY,
        embedding_size=size,
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=LIMIT,
    )
    reference = transformers.ElectraModel(config)
    torch.manual_seed(0)
    perturb(reference, 0.3)
    norm = NormConfig(eps=1e-12)
    stack = Stack(
        StackConfig(
            hidden_size=HIDDEN,
            layers=LAYERS,
            embedding=EmbeddingConfig(
                vocabulary=VOCABULARY,
                size=size,
                positions=LearnedPositions(rows=LIMIT),
                token_types=2,
                norm=norm,
            ),
            attention=AttentionConfig(
                heads=HEADS, key_value_heads=HEADS, head_size=HIDDEN // HEADS
            ),
            feed_forward=FeedForwardConfig(size=INNER),
            norm=norm,
        )
    )
    theirs, ours = reference.state_dict(), {}
    for mine, other in (
        ("embedding.word.weight", "embeddings.word_embeddings.weight"),
        ("embedding.position.weight", "embeddings.position_embeddings.weight"),
        ("embedding.token_type.weight", "embeddings.token_type_embeddings.weight"),
    ):
        ours[mine] = theirs[other]
    for kind in ("weight", "bias"):
        ours[f"embedding.norm.{kind}"] = theirs[f"embeddings.LayerNorm.{kind}"]
        ours[f"embedding.projection.{kind}"] = theirs[f"embeddings_project.{kind}"]
        for layer in range(LAYERS):
            block, prefix = f"blocks.{layer}", f"encoder.layer.{layer}"
            ours[f"{block}.self_attention.qkv.{kind}"] = torch.cat(
                [theirs[f"{prefix}.attention.self.{x}.{kind}"] for x in ("query", "key", "value")]
            )
            for mine, other in (
                ("self_attention.output", "attention.output.dense"),
                ("self_attention.norm", "attention.output.LayerNorm"),
                ("feed_forward.up", "intermediate.dense"),
                ("feed_forward.down", "output.dense"),
                ("feed_forward.norm", "output.LayerNorm"),
            ):
                ours[f"{block}.{mine}.{kind}"] = theirs[f"{prefix}.{other}.{kind}"]
    stack.load_state_dict(ours)
    assert_same_states(reference, stack)


def copy_decoder(reference: nn.Module, stack: Stack) -> None:
    """Fills a stack from a model with Llama's names, or Gemma's with four norms a layer."""
    theirs, ours = reference.state_dict(), {}
    ours["embedding.word.weight"] = theirs["embed_tokens.weight"]
    ours["final_norm.weight"] = theirs["norm.weight"]
    sandwich = stack.config.norm_order == "sandwich"
    for layer in range(LAYERS):
        block, prefix = f"blocks.{layer}", f"layers.{layer}"
        for kind in ("weight", "bias"):
            if f"{prefix}.self_attn.q_proj.{kind}" in theirs:
                ours[f"{block}.self_attention.qkv.{kind}"] = torch.cat(
                    [theirs[f"{prefix}.self_attn.{x}_proj.{kind}"] for x in "qkv"]
                )
        ours[f"{block}.feed_forward.up.weight"] = torch.cat(
            [theirs[f"{prefix}.mlp.{x}_proj.weight"] for x in ("gate", "up")]
        )
        before_feed_forward = "pre_feedforward" if sandwich else "post_attention"
        names = [
            ("self_attention.output", "self_attn.o_proj"),
            ("self_attention.norm", "input_layernorm"),
            ("feed_forward.norm", f"{before_feed_forward}_layernorm"),
            ("feed_forward.down", "mlp.down_proj"),
        ]
        if sandwich:
            names += [
                ("self_attention.output_norm", "post_attention_layernorm"),
                ("feed_forward.output_norm", "post_feedforward_layernorm"),
            ]
        if stack.config.attention.query_key_norm is not None:
            names += [
                ("self_attention.query_norm", "self_attn.q_norm"),
                ("self_attention.key_norm", "self_attn.k_norm"),
            ]
        for mine, other in names:
            ours[f"{block}.{mine}.weight"] = theirs[f"{prefix}.{other}.weight"]
    stack.load_state_dict(ours)


def rows_of_tokens() -> list[list[int]]:
    torch.manual_seed(1)
    return [torch.randint(1, VOCABULARY, (length,)).tolist() for length in LENGTHS]


def assert_same_states(reference: nn.Module, stack: Stack) -> None:
    rows = rows_of_tokens()
    with torch.no_grad():
        ours = stack.eval()(Sequences.of(rows))
        theirs = [
            reference.eval()(input_ids=torch.tensor([row])).last_hidden_state[0] for row in rows
        ]
    torch.testing.assert_close(ours, torch.cat(theirs), rtol=0, atol=2e-5)


def assert_steps_equal(stack: Stack) -> None:
    """Two tokens, one token, then three at a time from the cache: as all at once."""
    row = rows_of_tokens()[2]
    with torch.no_grad():
        at_once = stack(Sequences.of([row]))
        cache = stack.start_cache(1, len(row))
        pieces = torch.tensor([row]).split([2, 1, *[3] * 4, 2], dim=1)
        steps = torch.cat([stack.step(piece, cache) for piece in pieces], dim=1)
    torch.testing.assert_close(steps[0], at_once, rtol=0, atol=5e-5)
