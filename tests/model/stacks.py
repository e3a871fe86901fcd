"""Small random stacks for the tests of this folder."""

from dataclasses import replace

import torch

from warmstart.model.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    LearnedPositions,
    LinearBias,
    NormConfig,
    RelativeBias,
    Rotary,
    RotaryScaling,
    StackConfig,
)
from warmstart.model.stack import Stack

__all__ = ["CONFIGS", "VOCABULARY", "random_stack"]

VOCABULARY, HIDDEN, LIMIT = 20, 12, 40
_LAYER = NormConfig(eps=1e-5)
_RMS = NormConfig(kind="rms", eps=1e-6)

_PLAIN = StackConfig(
    hidden_size=HIDDEN,
    layers=3,
    embedding=EmbeddingConfig(
        vocabulary=VOCABULARY,
        size=HIDDEN,
        positions=LearnedPositions(rows=LIMIT),
        token_types=2,
        norm=_LAYER,
    ),
    attention=AttentionConfig(heads=3, key_value_heads=3, head_size=4),
    feed_forward=FeedForwardConfig(size=20),
    norm=_LAYER,
    causal=True,
)
_NO_POSITIONS = EmbeddingConfig(vocabulary=VOCABULARY, size=HIDDEN)
_ROTARY = replace(_PLAIN, embedding=_NO_POSITIONS, rotary=Rotary(limit=LIMIT))

# Every value that a `StackConfig` can take is in one of these.
CONFIGS: dict[str, StackConfig] = {
    "post-norm": _PLAIN,
    "pre-norm": replace(_PLAIN, norm_order="pre", final_norm=True),
    "sandwich norm": replace(_PLAIN, norm_order="sandwich", final_norm=True, norm=_RMS),
    "no first norm": replace(_PLAIN, norm_order="pre", first_attention_norm=False),
    "unit offset": replace(_PLAIN, norm=replace(_RMS, unit_offset=True), norm_order="pre"),
    "norm without bias": replace(_PLAIN, norm=replace(_LAYER, bias=False)),
    "positions with an offset": replace(
        _PLAIN, embedding=replace(_PLAIN.embedding, positions=LearnedPositions(rows=40, offset=2))
    ),
    "projected embedding": replace(
        _PLAIN, embedding=EmbeddingConfig(vocabulary=VOCABULARY, size=8, scale=2.0)
    ),
    "rotary": _ROTARY,
    "linear scaling": replace(
        _ROTARY,
        rotary=Rotary(limit=LIMIT, scaling=RotaryScaling(kind="linear", factor=2.0)),
    ),
    "llama3 scaling": replace(
        _ROTARY,
        rotary=Rotary(
            limit=LIMIT, scaling=RotaryScaling(kind="llama3", factor=4.0, original_limit=10)
        ),
    ),
    "relative bias": replace(
        _PLAIN,
        embedding=_NO_POSITIONS,
        attention=AttentionConfig(heads=6, key_value_heads=2, head_size=5),
        relative_bias=RelativeBias(buckets=8, max_distance=9, bidirectional=False),
    ),
    "relative bias both ways, windows and soft cap": replace(
        _PLAIN,
        attention=AttentionConfig(heads=4, key_value_heads=2, head_size=4, soft_cap=1.5),
        relative_bias=RelativeBias(buckets=12, max_distance=7),
        windows=(None, 2, 5),
    ),
    "windows": replace(_PLAIN, windows=(1, 3, None)),
    "rotary with local layers": replace(
        _ROTARY, windows=(None, 2, 4), rotary=Rotary(limit=LIMIT, local_theta=50.0)
    ),
    "grouped queries": replace(
        _PLAIN, attention=AttentionConfig(heads=6, key_value_heads=2, head_size=5)
    ),
    "no biases": replace(
        _PLAIN,
        attention=replace(_PLAIN.attention, query_key_value_bias=False, output_bias=False),
        feed_forward=FeedForwardConfig(size=20, bias=False),
    ),
    "scale and soft cap": replace(
        _PLAIN,
        attention=AttentionConfig(heads=4, key_value_heads=2, head_size=4, scale=0.7, soft_cap=1.5),
        windows=(None, 2, None),
    ),
    "normed queries and keys": replace(
        _ROTARY, attention=replace(_PLAIN.attention, query_key_norm=_RMS)
    ),
    "gated": replace(
        _PLAIN, feed_forward=FeedForwardConfig(size=20, activation="silu", gated=True)
    ),
    "tanh": replace(_PLAIN, feed_forward=FeedForwardConfig(size=20, activation="gelu_tanh")),
    "output norm, joint norm of queries and keys": replace(
        _ROTARY,
        norm=_RMS,
        norm_order="output",
        attention=AttentionConfig(
            heads=6, key_value_heads=2, head_size=4, query_key_norm=_RMS, joint_query_key_norm=True
        ),
    ),
    "parallel with one norm": replace(
        _PLAIN, norm_order="pre", parallel_feed_forward=True, shared_norm=True
    ),
    "scaled residuals and task types": replace(
        _PLAIN, residual_scale=0.4, embedding=replace(_PLAIN.embedding, task_types=3)
    ),
    "linear bias": replace(
        _PLAIN,
        embedding=_NO_POSITIONS,
        attention=AttentionConfig(heads=6, key_value_heads=3, head_size=4),
        relative_bias=LinearBias(),
    ),
    "interleaved rotary in some layers, scaled": replace(
        _ROTARY,
        rotary=Rotary(
            limit=LIMIT,
            size=2,
            interleaved=True,
            layers=(True, False, True),
            scaling=RotaryScaling(kind="factors", factors=(1.5,), amplitude=1.2),
        ),
    ),
    "relu": replace(_PLAIN, feed_forward=FeedForwardConfig(size=20, activation="relu")),
}


def random_stack(config: StackConfig, seed: int = 0) -> Stack:
    """A stack with random weights large enough that every part of it matters."""
    torch.manual_seed(seed)
    stack = Stack(config).eval()
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.normal_(0.3, 0.4)
    return stack
