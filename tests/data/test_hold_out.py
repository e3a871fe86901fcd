import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.data.example import Example
from warmstart.data.hold_out import hold_out
from warmstart.errors import DataError, UsageError


def numbered(count: int) -> list[Example]:
    return [Example(f"source {number}", (f"target {number}",)) for number in range(count)]


@pytest.mark.parametrize(("count", "held"), [(2, 1), (15, 1), (99, 9), (5000, 500), (20_000, 1000)])
def test_holds_out_a_tenth_and_at_most_a_thousand(count: int, held: int) -> None:
    train, validation = hold_out(numbered(count))
    assert (len(train), len(validation)) == (count - held, held)


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=30).filter(
        lambda sources: len(set(sources)) > 1
    ),
    st.integers(0, 100),
)
def test_parts_are_disjoint_complete_and_ordered(sources: list[str], seed: int) -> None:
    examples = [Example(source, (str(number),)) for number, source in enumerate(sources)]
    train, validation = hold_out(examples, seed=seed)
    assert train
    assert validation
    assert not {example.source for example in train} & {example.source for example in validation}
    assert sorted((*train, *validation), key=lambda example: int(example.target)) == examples
    for part in (train, validation):
        assert list(part) == sorted(part, key=lambda example: int(example.target))


def test_depends_on_the_seed_alone() -> None:
    assert hold_out(numbered(100), seed=1) == hold_out(numbered(100), seed=1)
    assert hold_out(numbered(100), seed=1) != hold_out(numbered(100), seed=2)


def test_takes_the_given_size() -> None:
    assert len(hold_out(numbered(10), size=7)[1]) == 7


@pytest.mark.parametrize("size", [0, -1, 10, 11])
def test_refuses_a_size_that_leaves_nothing(size: int) -> None:
    with pytest.raises(UsageError, match=f"Cannot hold out {size} of 10 examples"):
        hold_out(numbered(10), size=size)


@pytest.mark.parametrize("examples", [numbered(1), numbered(1) * 5])
def test_refuses_data_with_one_source(examples: list[Example]) -> None:
    with pytest.raises(DataError, match="only one source text"):
        hold_out(examples)
