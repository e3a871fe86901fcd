"""Whatever the config, decoding from the cache equals reading the sequence at once."""

from dataclasses import replace

import pytest
import torch
from tests.model.stacks import CONFIGS, VOCABULARY, random_stack
from torch import Tensor

from warmstart.errors import CheckpointError
from warmstart.model.config import CrossAttentionKind
from warmstart.model.key_value_cache import Cache
from warmstart.model.sequences import Sequences
from warmstart.model.stack import Stack

SOURCE_LENGTHS, TARGET_LENGTHS = (7, 2, 7, 4), (9, 12, 1, 5)


def rows_of(lengths: tuple[int, ...]) -> list[list[int]]:
    generator = torch.Generator().manual_seed(sum(lengths))
    return [torch.randint(VOCABULARY, (n,), generator=generator).tolist() for n in lengths]


def states_of(lengths: tuple[int, ...], width: int) -> Tensor:
    return torch.randn(sum(lengths), width, generator=torch.Generator().manual_seed(3))


def spoil(cache: Cache) -> Cache:
    """Slots that no token fills are not seen, so it does not matter what they hold."""
    for tensor in (*cache._keys, *cache._values):
        tensor.fill_(1e6)
    return cache


def step_by_step(stack: Stack, cache: Cache, rows: list[list[int]]) -> list[Tensor]:
    """States of each row, a token at a time; shorter rows repeat their last token."""
    longest = max(map(len, rows))
    steps = [
        stack.step(torch.tensor([[row[min(at, len(row) - 1)]] for row in rows]), cache)
        for at in range(longest)
    ]
    states = torch.cat(steps, dim=1)
    return [states[i, : len(row)] for i, row in enumerate(rows)]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("cross_attention", [None, "plain", "gated", "merged"])
@torch.no_grad()
def test_steps_equal_forward(name: str, cross_attention: CrossAttentionKind | None) -> None:
    config = replace(CONFIGS[name], cross_attention=cross_attention)
    stack, rows = random_stack(config), rows_of(TARGET_LENGTHS)
    states, lengths = None, ()
    if cross_attention:
        states, lengths = states_of(SOURCE_LENGTHS, config.hidden_size), SOURCE_LENGTHS
    at_once = stack(Sequences.of(rows), states, lengths)
    cache = spoil(stack.start_cache(len(rows), max(TARGET_LENGTHS), states, lengths))
    stepped = torch.cat(step_by_step(stack, cache, rows))
    assert at_once.std() > 0.1
    torch.testing.assert_close(stepped, at_once, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_steps_after_prefixes_of_different_lengths_equal_forward(name: str) -> None:
    stack = random_stack(CONFIGS[name])
    prefixes, rows = rows_of((3, 8, 1, 5)), rows_of((6, 4, 7, 2))
    joined = [prefix + row for prefix, row in zip(prefixes, rows, strict=True)]
    at_once = stack(Sequences.of(joined)).split([len(row) for row in joined])
    cache = spoil(stack.start_cache(4, 8 + 7))
    rectangle = torch.tensor([prefix + [0] * (8 - len(prefix)) for prefix in prefixes])
    stack.step(rectangle, cache, tuple(len(prefix) for prefix in prefixes))
    for states, expected, prefix in zip(
        step_by_step(stack, cache, rows), at_once, prefixes, strict=True
    ):
        torch.testing.assert_close(states, expected[len(prefix) :], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_a_later_token_changes_nothing_before_it(name: str) -> None:
    stack, row = random_stack(CONFIGS[name]), rows_of((10,))[0]
    changed = [*row[:6], (row[6] + 1) % VOCABULARY, *row[7:]]
    states, others = stack(Sequences.of([row])), stack(Sequences.of([changed]))
    torch.testing.assert_close(states[:6], others[:6], rtol=0, atol=1e-6)
    assert not torch.allclose(states[6], others[6])


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_an_encoder_sees_both_ways_and_no_other_sequence(name: str) -> None:
    stack = random_stack(replace(CONFIGS[name], causal=False))
    rows = rows_of((4, 9, 4))
    together = stack(Sequences.of(rows)).split([4, 9, 4])
    for row, states in zip(rows, together, strict=True):
        torch.testing.assert_close(stack(Sequences.of([row])), states, rtol=1e-4, atol=1e-5)
    changed = [*rows[0][:-1], (rows[0][-1] + 1) % VOCABULARY]
    assert not torch.allclose(stack(Sequences.of([changed]))[0], together[0][0])


@pytest.mark.parametrize("place", range(7))
@torch.no_grad()
def test_a_window_is_as_wide_as_it_says(place: int) -> None:
    """With one layer, the token at 7 sees those less than 3 away: 5, 6 and itself."""
    config = replace(CONFIGS["windows"], layers=1, windows=(3,))
    stack, row = random_stack(config), rows_of((8,))[0]
    changed = [*row[:place], (row[place] + 1) % VOCABULARY, *row[place + 1 :]]
    states, others = stack(Sequences.of([row]))[7], stack(Sequences.of([changed]))[7]
    assert torch.equal(states, others) == (place < 5)


@torch.no_grad()
def test_reordered_rows_continue_as_in_the_new_order() -> None:
    config = replace(CONFIGS["rotary with local layers"], cross_attention="plain")
    stack = random_stack(config)
    states = states_of((5, 3), config.hidden_size)
    first, then = rows_of((4, 4, 4, 4)), rows_of((2, 2, 2, 2))
    order = [1, 1, 3, 2]  # two rows a source, and rows stay with theirs
    cache = spoil(stack.start_cache(4, 6, states, (5, 3)))
    step_by_step(stack, cache, first)
    cache.reorder(torch.tensor(order))
    stepped = step_by_step(stack, cache, then)
    joined = [first[old] + new for old, new in zip(order, then, strict=True)]
    by_row = torch.cat([states[:5], states[:5], states[5:], states[5:]])
    at_once = stack(Sequences.of(joined), by_row, (5, 5, 3, 3)).split([6] * 4)
    for mine, expected in zip(stepped, at_once, strict=True):
        torch.testing.assert_close(mine, expected[4:], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_reordering_after_prefixes_of_different_lengths() -> None:
    stack = random_stack(CONFIGS["windows"])
    prefixes, first, then = rows_of((2, 5, 3)), rows_of((2, 2, 2)), rows_of((3, 3, 3))
    order = [2, 0, 0]
    cache = spoil(stack.start_cache(3, 10))
    rectangle = torch.tensor([prefix + [0] * (5 - len(prefix)) for prefix in prefixes])
    stack.step(rectangle, cache, (2, 5, 3))
    step_by_step(stack, cache, first)
    cache.reorder(torch.tensor(order))
    stepped = step_by_step(stack, cache, then)
    for states, old, new in zip(stepped, order, then, strict=True):
        row = prefixes[old] + first[old] + new
        at_once = stack(Sequences.of([row]))
        torch.testing.assert_close(states, at_once[-3:], rtol=1e-4, atol=1e-5)


def test_a_full_cache_is_a_bug_of_ours() -> None:
    stack = random_stack(CONFIGS["post-norm"])
    cache = stack.start_cache(1, 2)
    with torch.no_grad(), pytest.raises(AssertionError, match="the cache is full"):
        stack.step(torch.tensor([[1, 2, 3]]), cache)


def test_the_position_limit_is_known() -> None:
    assert CONFIGS["post-norm"].position_limit == 40
    assert CONFIGS["positions with an offset"].position_limit == 38
    assert CONFIGS["rotary"].position_limit == 40
    assert CONFIGS["projected embedding"].position_limit is None


def test_windows_must_be_as_many_as_layers() -> None:
    with pytest.raises(CheckpointError, match="3 layers, but layer_types for 2"):
        replace(CONFIGS["post-norm"], windows=(1, 2))


def kept_bytes(stack: Stack, sequences: Sequences) -> int:
    """What a forward pass has allocated and not freed again: activations for the backward pass."""
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        output = stack(sequences)
    assert output.requires_grad
    return sum(event.self_cpu_memory_usage for event in profile.function_events or ())


def test_recomputing_blocks_keep_little_more_than_their_inputs() -> None:
    config = replace(CONFIGS["post-norm"], layers=6)
    stack, lengths = random_stack(config), (30,) * 20
    sequences = Sequences.of(rows_of(lengths))
    whole = kept_bytes(stack, sequences)
    stack.recomputes = True
    little = kept_bytes(stack, sequences)
    inputs = config.layers * sum(lengths) * config.hidden_size * 4
    assert inputs <= little < 2 * inputs < whole / 5


def test_recomputing_drops_the_same_values() -> None:
    """Bit for bit, with dropout on."""
    stack = random_stack(replace(CONFIGS["post-norm"], dropout=0.3)).train()
    sequences = Sequences.of(rows_of(TARGET_LENGTHS))
    gradients = []
    for stack.recomputes in (False, True):
        torch.manual_seed(0)
        loss = stack(sequences).square().sum()
        gradients.append(torch.autograd.grad(loss, [*stack.parameters()]))
    for expected, gradient in zip(*gradients, strict=True):
        assert torch.equal(gradient, expected)
