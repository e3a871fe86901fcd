"""The GPU's kernel for sequences of various lengths, in whose place the definition is computed.

No GPU is needed: the definition takes what the kernel takes, refuses what it refuses, and masks as
FlashAttention's documentation says.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import varlen as torch_varlen

from warmstart.model import attend as attend_module
from warmstart.model import varlen
from warmstart.model.attend import attend_packed, attend_runs
from warmstart.model.config import AttentionConfig
from warmstart.model.layout import Layout
from warmstart.model.varlen import attend_varlen, suits_varlen

KERNEL = torch_varlen.varlen_attn
HEAD_SIZE = 8
lengths = st.lists(st.integers(1, 6), min_size=1, max_size=5)
configs = st.builds(
    lambda kv_heads, groups, scale: AttentionConfig(
        heads=kv_heads * groups, key_value_heads=kv_heads, head_size=HEAD_SIZE, scale=scale
    ),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 3]),
    st.sampled_from([None, 0.1]),
)


def by_definition(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
) -> Tensor:
    """`torch.nn.attention.varlen.varlen_attn`, one query and head after the other.

    A query at i of Q sees keys of S from i + S - Q - left to i + S - Q + right (FlashAttention's
    README, 2.1): the last query stands at the last key.
    """
    assert query.dtype == key.dtype == value.dtype
    assert query.dtype in (torch.bfloat16, torch.float16)
    assert query.dim() == key.dim() == value.dim() == 3
    assert key.shape == value.shape
    heads, size = query.shape[1:]
    assert size % 8 == 0
    assert size == key.shape[2]
    assert all(x.stride(-1) == 1 for x in (query, key, value))
    assert enable_gqa == (heads != key.shape[1])
    assert heads % key.shape[1] == 0
    for tensor, longest, x in ((cu_seq_q, max_q, query), (cu_seq_k, max_k, key)):
        assert tensor.dtype == torch.int32
        assert tensor.is_contiguous()
        ends = tensor.tolist()
        assert ends[0] == 0
        assert ends[-1] == len(x)
        assert max(end - begin for begin, end in pairwise(ends)) == longest
    assert cu_seq_q.shape == cu_seq_k.shape
    left, right = window_size
    scale = 1 / math.sqrt(size) if scale is None else scale
    outputs = []
    spans = zip(pairwise(cu_seq_q.tolist()), pairwise(cu_seq_k.tolist()), strict=True)
    for (q_begin, q_end), (k_begin, k_end) in spans:
        q, k = query[q_begin:q_end].double(), key[k_begin:k_end].double()
        v = value[k_begin:k_end].double()
        for at in range(len(q)):
            place = at + len(k) - len(q)
            seen = [
                other
                for other in range(len(k))
                if (left < 0 or other >= place - left) and (right < 0 or other <= place + right)
            ]
            for head in range(heads):
                group = head // (heads // key.shape[1])
                scores = k[seen, group] @ q[at, head] * scale
                outputs.append(scores.softmax(0) @ v[seen, group])
    return torch.stack(outputs).view(query.shape).to(query.dtype)


@pytest.fixture(autouse=True, scope="module")
def kernel() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_varlen, "varlen_attn", by_definition)
        yield


def random_inputs(config: AttentionConfig, queries: int, keys: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(queries)
    shapes = [(queries, config.heads), *[(keys, config.key_value_heads)] * 2]
    return [
        torch.randn(*shape, HEAD_SIZE, generator=generator).bfloat16().requires_grad_()
        for shape in shapes
    ]


def assert_as_the_loop(
    config: AttentionConfig,
    queries: list[int],
    keys: list[int],
    *,
    causal: bool,
    window: int | None = None,
    merged: bool = False,
) -> None:
    """The same outputs and gradients as `attend_runs` has in float32, to bfloat16's rounding."""
    inputs = random_inputs(config, sum(queries), sum(keys))
    exact = [x.detach().float().requires_grad_() for x in inputs]
    layout = Layout(queries, keys, causal=causal, window=window, merged=merged)
    mixed = attend_varlen(*inputs, layout, config)
    expected = attend_runs(*exact, layout, config)
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), expected, rtol=1e-2, atol=1e-2)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0)).bfloat16()
    (mixed * weights).sum().backward()
    (expected * weights.float()).sum().backward()
    for ours, others in zip(inputs, exact, strict=True):
        torch.testing.assert_close(ours.grad.float(), others.grad, rtol=2e-2, atol=2e-2)


@settings(deadline=None, max_examples=40)
@given(
    config=configs,
    lengths=lengths,
    causal=st.booleans(),
    window=st.sampled_from([None, 1, 2, 3, 10]),
)
def test_self_attention(
    config: AttentionConfig, lengths: list[int], causal: bool, window: int | None
) -> None:
    assert_as_the_loop(config, lengths, lengths, causal=causal, window=window)


@settings(deadline=None, max_examples=30)
@given(config=configs, pairs=st.lists(st.tuples(*[st.integers(1, 6)] * 2), min_size=1, max_size=4))
def test_cross_attention(config: AttentionConfig, pairs: list[tuple[int, int]]) -> None:
    assert_as_the_loop(config, [q for q, _ in pairs], [k for _, k in pairs], causal=False)


@settings(deadline=None, max_examples=30)
@given(
    config=configs,
    pairs=st.lists(st.tuples(*[st.integers(1, 6)] * 2), min_size=1, max_size=4),
    causal=st.booleans(),
)
def test_merged_attention(
    config: AttentionConfig, pairs: list[tuple[int, int]], causal: bool
) -> None:
    queries = [q for q, _ in pairs]
    assert_as_the_loop(config, queries, [q + s for q, s in pairs], causal=causal, merged=True)


def test_lengths_of_a_decoding_serve_training() -> None:
    config = AttentionConfig(heads=2, key_value_heads=2, head_size=HEAD_SIZE)
    with torch.inference_mode():
        inputs = random_inputs(config, 5, 5)
        attend_varlen(*inputs, Layout([2, 3], [2, 3], causal=True), config)
    assert not varlen._offsets((2, 3), torch.device("cpu")).is_inference()


# What goes to it. Tensors of a GPU that hold no values need no GPU.


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    varlen._offsets.cache_clear()
    with FakeTensorMode():
        yield
    varlen._offsets.cache_clear()


def suits(
    dtype: torch.dtype = torch.bfloat16, device: str = "cuda", keys: int = 5, **changes: Any
) -> bool:
    size = changes.pop("head_size", 64)
    config = AttentionConfig(
        heads=4, key_value_heads=4, head_size=size, soft_cap=changes.pop("soft_cap", None)
    )
    values = torch.empty(keys + 2, 4, size, dtype=dtype, device=device)
    other = {"biased": changes.pop("biased", False), "dropout": changes.pop("dropout", 0.0)}
    layout = Layout([2, 5], [2, keys], **{"causal": True, **changes})
    return suits_varlen(values, layout, config, **other)


def test_what_the_kernel_can_do(on_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert suits()
    assert suits(torch.float16)
    assert suits(causal=False, window=3)
    assert suits(causal=False, keys=9)
    assert suits(keys=9, merged=True)
    assert not suits(torch.float32)
    assert not suits(device="cpu")
    assert not suits(biased=True)
    assert not suits(dropout=0.1)
    assert not suits(soft_cap=30.0)
    assert not suits(head_size=20)
    assert not suits(head_size=256)
    assert not suits(keys=9), "its causal mask stands at the last key, ours at the first"
    assert not suits(causal=False, window=3, keys=9)
    assert not suits(merged=True, window=3)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not suits()


def test_what_goes_to_the_kernel(on_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under autocast queries and keys that were normed are in float32, and so is what comes out."""
    calls: list[Any] = []

    def kernel(query: Tensor, key: Tensor, value: Tensor, *others: Any, **options: Any) -> Tensor:
        calls.append((query.dtype, key.dtype, [x.dtype for x in others[:2]], options))
        return torch.empty_like(query)

    def padded(*arguments: Any, **keywords: Any) -> Tensor:
        calls.append("padded")
        return torch.empty_like(arguments[0])

    monkeypatch.setattr(torch_varlen, "varlen_attn", kernel)
    monkeypatch.setattr(attend_module, "attend_padded", padded)
    config = AttentionConfig(heads=4, key_value_heads=2, head_size=64)
    q = torch.empty(7, 4, 64, device="cuda")
    k = torch.empty(7, 2, 64, device="cuda")
    v = torch.empty(7, 2, 64, device="cuda", dtype=torch.bfloat16)
    mixed = attend_packed(q, k, v, Layout([2, 5], [2, 5], causal=True), config)
    assert (mixed.shape, mixed.dtype) == ((7, 256), torch.float32)
    options = {"scale": None, "window_size": (-1, 0), "enable_gqa": True}
    assert calls == [(torch.bfloat16, torch.bfloat16, [torch.int32] * 2, options)]
    attend_packed(q, k, v, Layout([2, 5], [2, 5], causal=True), config, dropout=0.1)
    assert calls[1:] == ["padded"]


def test_torch_takes_the_call(on_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's own function, up to the kernel itself: names, types and shapes (not of gradients)."""
    monkeypatch.setattr(torch_varlen, "varlen_attn", KERNEL)
    config = AttentionConfig(heads=4, key_value_heads=2, head_size=64)
    shapes = [(7, 4, 64), (7, 2, 64), (7, 2, 64)]
    q, k, v = (torch.empty(shape, device="cuda", dtype=torch.bfloat16) for shape in shapes)
    mixed = attend_packed(q, k, v, Layout([2, 5], [2, 5], causal=True), config)
    assert (mixed.shape, mixed.dtype) == ((7, 256), torch.bfloat16)
