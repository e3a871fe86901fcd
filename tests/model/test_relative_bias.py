"""A learned bias by distance, against transformers' T5 and MPNet, and against single look-ups."""

import pytest
import torch
from transformers.models.bloom import modeling_bloom
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder
from transformers.models.t5.modeling_t5 import T5Attention

from warmstart.model.attend import attend_padded, attend_runs
from warmstart.model.config import AttentionConfig, RelativeBias
from warmstart.model.layout import Layout
from warmstart.model.relative_bias import LinearBiases, RelativeBiasTable, buckets


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("count", "farthest"), [(32, 128), (8, 9), (12, 7), (64, 256)])
def test_buckets_are_those_of_t5(bidirectional: bool, count: int, farthest: int) -> None:
    config = RelativeBias(buckets=count, max_distance=farthest, bidirectional=bidirectional)
    distances = torch.arange(-600, 600)
    theirs = T5Attention._relative_position_bucket(-distances, bidirectional, count, farthest)
    assert torch.equal(buckets(distances, config), theirs)
    assert theirs.max() == count - 1


def test_buckets_are_those_of_mpnet() -> None:
    distances = torch.arange(-600, 600)
    theirs = MPNetEncoder.relative_position_bucket(-distances)
    assert torch.equal(buckets(distances, RelativeBias()), theirs)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("longest", [1, 2, 11])
@torch.no_grad()
def test_every_pair_of_places_has_the_bias_of_its_distance(
    longest: int, bidirectional: bool, causal: bool
) -> None:
    table = random_table(bidirectional)
    biases = table(longest, causal=causal)
    assert biases.shape == (3, longest, longest)
    for query in range(longest):
        for key in range(longest):
            if causal and key > query:
                assert (biases[:, query, key] == float("-inf")).all()
                continue
            row = buckets(torch.tensor(query - key), table.config)
            assert torch.equal(biases[:, query, key], table.weight[row])


@pytest.mark.parametrize("bidirectional", [True, False])
@torch.no_grad()
def test_steps_have_the_biases_of_the_whole(bidirectional: bool) -> None:
    table = random_table(bidirectional)
    whole = table(12, causal=False)
    positions = torch.tensor([[5, 6], [2, 3], [10, 11]])
    steps = table.step(positions, 12)
    assert torch.equal(steps, torch.stack([whole[:, row] for row in positions]))


@pytest.mark.parametrize("soft_cap", [None, 2.0])
def test_the_table_learns_alike_from_runs_and_from_padding(soft_cap: float | None) -> None:
    """And as by differences of the loss, in double precision."""
    config = AttentionConfig(heads=3, key_value_heads=1, head_size=4, soft_cap=soft_cap)
    lengths = [3, 3, 1, 5]
    torch.manual_seed(0)
    q, k, v = (torch.randn(12, heads, 4, dtype=torch.double) for heads in (3, 1, 1))
    given = torch.randn(12, 3, 4, dtype=torch.double)
    table = random_table(bidirectional=True).double()

    def loss(runs: bool) -> torch.Tensor:
        attend = attend_runs if runs else attend_padded
        bias = table(5, causal=True)
        layout = Layout(lengths, lengths, causal=True, window=2)
        mixed = attend(q, k, v, layout, config, bias_HLL=bias)
        return (mixed * given).sum()

    [by_runs] = torch.autograd.grad(loss(True), table.weight)
    [by_padding] = torch.autograd.grad(loss(False), table.weight)
    tolerance = 1e-12 if soft_cap is None else 1e-6  # scores with a cap are float32
    torch.testing.assert_close(by_runs, by_padding, rtol=0, atol=tolerance)
    if soft_cap is not None:
        return
    for row in range(table.config.buckets):
        with torch.no_grad():
            table.weight[row, 1] += 1e-5
            more = loss(True)
            table.weight[row, 1] -= 2e-5
            less = loss(True)
            table.weight[row, 1] += 1e-5
        assert by_runs[row, 1].item() == pytest.approx(((more - less) / 2e-5).item(), abs=1e-7)
    assert (by_runs != 0).any()


def random_table(bidirectional: bool) -> RelativeBiasTable:
    torch.manual_seed(1)
    config = RelativeBias(buckets=8, max_distance=6, bidirectional=bidirectional)
    table = RelativeBiasTable(config, heads=3)
    with torch.no_grad():
        table.weight.normal_()
    return table


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12, 16, 20])
def test_slopes_are_those_of_bloom(heads: int) -> None:
    ones = torch.ones(1, 5, dtype=torch.long)
    rising_H1L = modeling_bloom.build_alibi_tensor(ones, heads, torch.float32)
    bias_HLL = LinearBiases(heads)(5, causal=True)
    # Softmax is the same whatever is added to all keys of a query.
    difference = bias_HLL - rising_H1L
    for query in range(5):
        seen = difference[:, query, : query + 1]
        torch.testing.assert_close(seen, seen[:, :1].expand_as(seen), rtol=0, atol=1e-6)
        assert (bias_HLL[:, query, query + 1 :] == float("-inf")).all()


def test_a_linear_bias_both_ways_and_its_steps() -> None:
    biases = LinearBiases(4)
    both = biases(6, causal=False)
    assert torch.equal(both, both.mT)
    assert torch.equal(both[:, 0], biases(6, causal=True)[:, :, 0])
    steps = biases.step(torch.tensor([[3, 4], [1, 2]]), 6)
    past = biases(6, causal=True)
    for row, first in enumerate((3, 1)):
        for new in range(2):
            place = first + new
            assert torch.equal(steps[row, :, new, : place + 1], past[:, place, : place + 1])
