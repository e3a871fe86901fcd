"""Blocks among workers that finish in any order and get lost at any time."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.bulk.blocks import Block
from warmstart.bulk.decode import Counts, Written
from warmstart.bulk.in_order import Failed, Finished, Lost, in_order
from warmstart.errors import WarmstartError


def block(index: int) -> Block:
    return Block(index, (b"x\n",), ((0, "in", index + 1),), index + 1, 2, "", True)


class Unreliable:
    """Workers that start late, finish in a random order, and lose some blocks."""

    def __init__(self, count: int, seed: int, losses: dict[int, int]) -> None:
        self.count = count
        self.dice = random.Random(seed)
        self.losses = dict(losses)
        self.ready = 0
        self.running: list[Block] = []
        self.done: list[int] = []

    def free(self) -> bool:
        return len(self.running) < self.ready

    def send(self, block: Block) -> None:
        assert self.free()
        assert block.index not in [other.index for other in self.running]
        assert block.index not in self.done
        self.running.append(block)

    def wait(self) -> Finished | Failed | Lost | None:
        if self.ready < self.count and (not self.running or self.dice.random() < 0.5):
            self.ready += 1
            return None
        assert self.running, "nothing is left to wait for"
        block = self.running.pop(self.dice.randrange(len(self.running)))
        if self.losses.get(block.index, 0):
            self.losses[block.index] -= 1
            return Lost(block, "killed")
        self.done.append(block.index)
        return Finished(block, Written(str(block.index).encode(), Counts(lines=1)))


@given(
    count=st.integers(1, 5),
    blocks=st.integers(0, 40),
    first=st.integers(0, 3),
    seed=st.integers(0, 1000),
    losses=st.dictionaries(st.integers(0, 40), st.integers(1, 2)),
)
def test_nothing_lost_nothing_twice_and_in_order(
    count: int, blocks: int, first: int, seed: int, losses: dict[int, int]
) -> None:
    read = 0

    def reading() -> "list[Block]":
        nonlocal read
        for index in range(first, first + blocks):
            read += 1
            yield block(index)

    workers = Unreliable(count, seed, losses)
    given_out = []
    for position, (found, written) in enumerate(in_order(reading(), workers)):
        assert written.data == str(found.index).encode()
        assert read <= position + 4 * count + 2  # no more is held than workers need
        given_out.append(found.index)
    assert given_out == list(range(first, first + blocks))
    assert sorted(workers.done) == given_out


def test_a_block_that_ends_every_worker() -> None:
    workers = Unreliable(2, 0, {3: 3})
    with pytest.raises(WarmstartError, match=r"in, line 4 to line 4 ended 3 processes .*killed"):
        list(in_order(iter(map(block, range(9))), workers))


def test_what_was_before_a_bad_block_is_handed_on() -> None:
    class Picky(Unreliable):
        def wait(self) -> Finished | Failed | Lost | None:
            event = super().wait()
            if isinstance(event, Finished) and event.block.index in (7, 9):
                return Failed(event.block, WarmstartError(f"block {event.block.index}"))
            return event

    for seed in range(20):
        found = in_order(iter(map(block, range(20))), Picky(3, seed, {6: 2}))
        assert [next(found)[0].index for _ in range(7)] == list(range(7))
        with pytest.raises(WarmstartError, match="block 7"):
            next(found)
