"""Every way to compute attention gives what the definition gives, computed one query at a time."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from warmstart.errors import CheckpointError
from warmstart.model.attend import attend_cached, attend_packed, attend_padded, attend_runs
from warmstart.model.config import AttentionConfig
from warmstart.model.layout import Layout

HEAD_SIZE = 4
lengths = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def attention_configs() -> st.SearchStrategy[AttentionConfig]:
    return st.builds(
        lambda kv_heads, groups, scale, soft_cap: AttentionConfig(
            heads=kv_heads * groups,
            key_value_heads=kv_heads,
            head_size=HEAD_SIZE,
            scale=scale,
            soft_cap=soft_cap,
        ),
        st.sampled_from([1, 2]),
        st.sampled_from([1, 2, 3]),
        st.sampled_from([None, 1.0, 0.1]),
        st.sampled_from([None, 2.0]),
    )


def by_definition(
    q_THD: Tensor,
    k_UKD: Tensor,
    v_UKD: Tensor,
    query_lengths: Sequence[int],
    key_lengths: Sequence[int],
    config: AttentionConfig,
    causal: bool,
    window: int | None,
    bias: Tensor | None = None,
) -> Tensor:
    """Softmax of scaled products, for one sequence, head and query after the other."""
    scale = config.scale if config.scale is not None else 1 / math.sqrt(config.head_size)
    group = config.heads // config.key_value_heads
    outputs = []
    queries = q_THD.double().split(list(query_lengths))
    keys, values = k_UKD.double().split(list(key_lengths)), v_UKD.double().split(list(key_lengths))
    for q, k, v in zip(queries, keys, values, strict=True):
        for at in range(len(q)):
            seen = [
                key
                for key in range(len(k))
                if not (causal and key > at)
                and not (window is not None and abs(at - key) >= window)
            ]
            for head in range(config.heads):
                scores = k[seen, head // group] @ q[at, head] * scale
                if config.soft_cap is not None:
                    scores = config.soft_cap * (scores / config.soft_cap).tanh()
                if bias is not None:
                    scores = scores + bias[head, at, seen]
                outputs.append(scores.softmax(0) @ v[seen, head // group])
    return torch.stack(outputs).view(len(q_THD), config.heads, config.head_size).float()


def random_inputs(
    config: AttentionConfig, queries: int, keys: int, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    size = config.head_size
    return (
        2 * torch.randn(queries, config.heads, size, generator=generator),
        2 * torch.randn(keys, config.key_value_heads, size, generator=generator),
        torch.randn(keys, config.key_value_heads, size, generator=generator),
    )


@settings(deadline=None, max_examples=60)
@given(
    config=attention_configs(),
    lengths=lengths,
    causal=st.booleans(),
    window=st.sampled_from([None, 1, 2, 3, 10]),
)
def test_self_attention(
    config: AttentionConfig, lengths: list[int], causal: bool, window: int | None
) -> None:
    q, k, v = random_inputs(config, sum(lengths), sum(lengths))
    layout = Layout(lengths, lengths, causal=causal, window=window)
    expected = by_definition(q, k, v, lengths, lengths, config, causal, window)
    for attend in (attend_runs, attend_padded):
        mixed = attend(q, k, v, layout, config)
        torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-5)
    mixed = attend_packed(q, k, v, layout, config)
    torch.testing.assert_close(mixed, expected.flatten(1), rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(
    config=attention_configs(),
    lengths=lengths,
    causal=st.booleans(),
    window=st.sampled_from([None, 1, 2, 3, 10]),
)
def test_self_attention_with_a_bias(
    config: AttentionConfig, lengths: list[int], causal: bool, window: int | None
) -> None:
    q, k, v = random_inputs(config, sum(lengths), sum(lengths))
    bias = random_bias(config, max(lengths), causal)
    expected = by_definition(q, k, v, lengths, lengths, config, causal, window, bias)
    layout = Layout(lengths, lengths, causal=causal, window=window)
    for attend in (attend_runs, attend_padded):
        mixed = attend(q, k, v, layout, config, bias_HLL=bias)
        torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(
    config=attention_configs(),
    pairs=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=4),
    window=st.sampled_from([None, 1, 3]),
)
def test_merged_attention_with_a_bias(
    config: AttentionConfig, pairs: list[tuple[int, int]], window: int | None
) -> None:
    """A sequence at a time: scores to its source's keys have no bias, and all see them."""
    sources, queries = [source for source, _ in pairs], [query for _, query in pairs]
    keys = [sum(pair) for pair in pairs]
    q, k, v = random_inputs(config, sum(queries), sum(keys))
    bias = random_bias(config, max(queries), causal=True)
    expected = []
    for each_q, each_k, each_v, source in zip(
        q.split(queries), k.split(keys), v.split(keys), sources, strict=True
    ):
        for at in range(len(each_q)):
            first = 0 if window is None else max(0, at - window + 1)
            seen = [*range(source), *range(source + first, source + at + 1)]
            row = torch.zeros(config.heads, 1, len(seen))
            row[:, 0, source:] = bias[:, at, first : at + 1]
            one = by_definition(
                each_q[at : at + 1],
                each_k[seen],
                each_v[seen],
                [1],
                [len(seen)],
                config,
                causal=False,
                window=None,
                bias=row,
            )
            expected.append(one)
    layout = Layout(queries, keys, causal=True, window=window, merged=True)
    for attend in (attend_runs, attend_padded):
        mixed = attend(q, k, v, layout, config, bias_HLL=bias)
        torch.testing.assert_close(mixed, torch.cat(expected), rtol=0, atol=1e-5)


def random_bias(config: AttentionConfig, longest: int, causal: bool) -> Tensor:
    bias = torch.randn(
        config.heads, longest, longest, generator=torch.Generator().manual_seed(longest)
    )
    ahead = torch.ones(longest, longest, dtype=torch.bool).triu(1)
    return bias.masked_fill(ahead, float("-inf")) if causal else bias


@settings(deadline=None, max_examples=40)
@given(
    config=attention_configs(),
    pairs=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=5),
)
def test_cross_attention(config: AttentionConfig, pairs: list[tuple[int, int]]) -> None:
    query_lengths, key_lengths = [query for query, _ in pairs], [key for _, key in pairs]
    q, k, v = random_inputs(config, sum(query_lengths), sum(key_lengths))
    expected = by_definition(q, k, v, query_lengths, key_lengths, config, False, None)
    for attend in (attend_runs, attend_padded):
        mixed = attend(q, k, v, Layout(query_lengths, key_lengths, causal=False), config)
        torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(
    config=attention_configs(),
    sources=st.integers(1, 3),
    queries=st.integers(1, 4),
    slots=st.integers(1, 5),
    masked=st.booleans(),
    data=st.data(),
)
def test_cached_attention(
    config: AttentionConfig,
    sources: int,
    queries: int,
    slots: int,
    masked: bool,
    data: st.DataObject,
) -> None:
    q, k, v = random_inputs(config, sources * queries, sources * slots)
    seen = [data.draw(st.integers(1, slots)) for _ in range(sources)] if masked else None
    held = seen or [slots] * sources
    keep = torch.cat([torch.arange(slots) < count for count in held])
    expected = by_definition(q, k[keep], v[keep], [queries] * sources, held, config, False, None)
    mask = None if seen is None else torch.arange(slots) < torch.tensor(seen)[:, None]
    mixed = attend_cached(
        q.unflatten(0, (sources, queries)),
        k.unflatten(0, (sources, slots)).transpose(1, 2),
        v.unflatten(0, (sources, slots)).transpose(1, 2),
        None if mask is None else mask[:, None],
        config,
    )
    torch.testing.assert_close(mixed.flatten(0, 1), expected.flatten(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("soft_cap", [None, 2.0])
def test_gradients_of_runs_and_of_padding_agree(soft_cap: float | None) -> None:
    """With a window, a padded query sees no key at all, which must not spoil the others."""
    config = AttentionConfig(heads=4, key_value_heads=2, head_size=HEAD_SIZE, soft_cap=soft_cap)
    lengths = [3, 3, 1, 5]
    gradients = []
    for attend in (attend_runs, attend_padded):
        inputs = [x.requires_grad_() for x in random_inputs(config, 12, 12)]
        mixed = attend(*inputs, Layout(lengths, lengths, causal=True, window=2), config)
        (mixed * torch.arange(mixed.numel()).view_as(mixed)).sum().backward()
        gradients.append([x.grad for x in inputs])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("soft_cap", [None, 5.0])
def test_dropped_attention_weights_keep_the_mean(soft_cap: float | None) -> None:
    config = AttentionConfig(heads=1, key_value_heads=1, head_size=HEAD_SIZE, soft_cap=soft_cap)
    q, k, v = random_inputs(config, 1, 6)
    torch.manual_seed(0)
    layout = Layout([1], [6], causal=False)
    exact = attend_packed(q, k, v, layout, config)
    dropped = torch.stack(
        [attend_packed(q, k, v, layout, config, dropout=0.5) for _ in range(2000)]
    )
    assert dropped.std(0).min() > 0.05
    error = dropped.std(0) / 2000**0.5
    assert ((dropped.mean(0) - exact).abs() < 5 * error).all()


def test_bfloat16_comes_back_as_bfloat16() -> None:
    config = AttentionConfig(heads=2, key_value_heads=2, head_size=HEAD_SIZE)
    q, k, v = (x.bfloat16() for x in random_inputs(config, 5, 5))
    mixed = attend_packed(q, k, v, Layout([2, 3], [2, 3], causal=True), config)
    assert mixed.dtype == torch.bfloat16
    expected = by_definition(q, k, v, [2, 3], [2, 3], config, True, None).flatten(1)
    torch.testing.assert_close(mixed.float(), expected, rtol=0, atol=2e-2)


def test_heads_that_cannot_be_grouped_are_refused() -> None:
    with pytest.raises(CheckpointError, match="4 query heads cannot be grouped over 3"):
        AttentionConfig(heads=4, key_value_heads=3, head_size=HEAD_SIZE)
