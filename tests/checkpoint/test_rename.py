"""One table, both directions; and a report of everything that does not fit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from warmstart.checkpoint.rename import Location, Match, Rule, locate, match, to_ours, to_theirs
from warmstart.errors import ConversionError

RULES = (
    Rule("emb", "embedding.word"),
    Rule(("h.{i}.q", "h.{i}.k", "h.{i}.v"), "blocks.{i}.qkv"),
    Rule("h.{i}.mlp.fc", "blocks.{i}.up", transpose=True),
    Rule(("h.{i}.wide", "h.{i}.narrow"), "blocks.{i}.uneven", rows=(3, 1)),
    Rule("head.w", "head.weight"),
    Rule("blocks.{i}", "last.{i}.bias"),
)
OURS = {
    "embedding.word.weight": (10, 4),
    "blocks.0.qkv.weight": (12, 4),
    "blocks.0.qkv.bias": (12,),
    "blocks.0.up.weight": (8, 4),
    "blocks.0.up.bias": (8,),
    "blocks.0.uneven.weight": (4, 4),
}
THEIRS = {
    "emb.weight": (10, 4),
    **{f"h.0.{x}.weight": (4, 4) for x in "qkv"},
    **{f"h.0.{x}.bias": (4,) for x in "qkv"},
    "h.0.mlp.fc.weight": (4, 8),
    "h.0.mlp.fc.bias": (8,),
    "h.0.wide.weight": (3, 4),
    "h.0.narrow.weight": (1, 4),
}


def test_a_rule_stands_for_weight_and_bias() -> None:
    assert locate("embedding.word.weight", RULES).names == ("emb.weight",)
    assert locate("blocks.12.qkv.bias", RULES).names == (
        "h.12.q.bias",
        "h.12.k.bias",
        "h.12.v.bias",
    )


def test_a_rule_that_names_a_tensor_stands_for_it_alone() -> None:
    assert locate("head.weight", RULES).names == ("head.w",)
    assert locate("last.3.bias", RULES).names == ("blocks.3",)


def test_only_weights_are_transposed() -> None:
    assert locate("blocks.0.up.weight", RULES).transpose
    assert not locate("blocks.0.up.bias", RULES).transpose


@pytest.mark.parametrize("name", ["nothing.weight", "blocks.x.qkv.weight", "head.bias"])
def test_a_tensor_of_ours_without_a_rule_is_a_bug(name: str) -> None:
    with pytest.raises(AssertionError, match=name):
        locate(name, RULES)


@given(
    pieces=st.integers(1, 3),
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    transpose=st.booleans(),
)
def test_both_directions_are_inverse(pieces: int, rows: int, columns: int, transpose: bool) -> None:
    names = tuple(f"t{number}" for number in range(pieces))
    location = Location(names=names, transpose=transpose, rows=None)
    ours = torch.randn(pieces * rows, columns)
    theirs = to_theirs(location, ours)
    assert tuple(tuple(theirs[name].shape) for name in names) == location.shapes(tuple(ours.shape))
    assert all(tensor.is_contiguous() for tensor in theirs.values())
    assert torch.equal(to_ours(location, [theirs[name] for name in names]), ours)


def test_pieces_stand_one_after_the_other() -> None:
    location = locate("blocks.0.uneven.weight", RULES)
    ours = torch.arange(16.0).view(4, 4)
    theirs = to_theirs(location, ours)
    assert torch.equal(theirs["h.0.wide.weight"], ours[:3])
    assert torch.equal(theirs["h.0.narrow.weight"], ours[3:])


def meet(theirs: dict[str, tuple[int, ...]], *, optional: tuple[str, ...] = ()) -> Match:
    return match(
        OURS,
        theirs,
        RULES,
        what="tiny",
        optional=optional,
        unused=("pooler.*",),
        ignored=("*.position_ids",),
    )


def test_everything_is_found() -> None:
    found = meet({**THEIRS, "pooler.weight": (1,), "emb.position_ids": (1, 5)})
    assert found.found.keys() == OURS.keys()
    assert found.absent == ()
    assert found.unused == ("pooler.weight",)


def test_what_may_be_absent() -> None:
    theirs = {name: shape for name, shape in THEIRS.items() if "mlp" not in name}
    found = meet(theirs, optional=("blocks.0.up.weight", "blocks.0.up.bias"))
    assert found.absent == ("blocks.0.up.weight", "blocks.0.up.bias")


def test_half_of_an_optional_tensor_is_not_enough() -> None:
    theirs = {name: shape for name, shape in THEIRS.items() if name != "h.0.q.bias"}
    with pytest.raises(ConversionError, match=r"1 missing \(h.0.q.bias"):
        meet(theirs, optional=("blocks.0.qkv.bias",))


def test_every_misfit_is_reported_at_once_with_the_nearest_name() -> None:
    theirs = {**THEIRS, "h.0.mlp.fc.bias": (9,), "extra.weight": (2, 2)}
    theirs["h.0.mlp.fx.weight"] = theirs.pop("h.0.mlp.fc.weight")
    del theirs["h.0.k.bias"]
    with pytest.raises(ConversionError) as caught:
        meet(theirs)
    message = str(caught.value)
    assert "The tensors of tiny do not fit its config" in message
    assert "2 missing (h.0.k.bias; h.0.mlp.fc.weight, nearest h.0.mlp.fx.weight)" in message
    assert "2 unexpected (extra.weight; h.0.mlp.fx.weight, nearest h.0.mlp.fc.weight)" in message
    assert "1 misshapen (h.0.mlp.fc.bias is [9] where the config has [8])" in message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"emb.weight": None}, "1 missing (emb.weight)"),
        ({"extra.weight": (2, 2)}, "1 unexpected (extra.weight)"),
        ({"emb.weight": (10, 5)}, "1 misshapen (emb.weight is [10, 5]"),
    ],
)
def test_each_kind_of_misfit_alone_is_refused(
    changes: dict[str, tuple[int, ...] | None], reason: str
) -> None:
    theirs = {name: shape for name, shape in {**THEIRS, **changes}.items() if shape is not None}
    with pytest.raises(ConversionError) as caught:
        meet(theirs)
    assert reason in str(caught.value)


def test_a_transposed_tensor_of_the_wrong_way_round_is_misshapen() -> None:
    with pytest.raises(ConversionError, match=r"h.0.mlp.fc.weight is \[8, 4\] .* \[4, 8\]"):
        meet({**THEIRS, "h.0.mlp.fc.weight": (8, 4)})


def test_a_long_list_is_cut() -> None:
    with pytest.raises(ConversionError, match=r"11 missing \(.*; and 3 more\)"):
        meet({})


@given(heads=st.integers(1, 4), queries=st.integers(1, 3), size=st.integers(1, 3))
def test_rows_grouped_by_head(heads: int, queries: int, size: int) -> None:
    """Number each row by what it is: group, and queries, key or value within it."""
    kinds = [*(("q", at) for at in range(queries)), ("k", 0), ("v", 0)]
    grouped = [
        (group, *kind, row) for group in range(heads) for kind in kinds for row in range(size)
    ]
    ours = sorted(grouped, key=lambda row: "qkv".index(row[1]))  # stable: by group otherwise
    location = Location(("fused.weight",), False, None, heads=heads, queries=queries)
    theirs = torch.arange(len(grouped))
    numbers = to_ours(location, [theirs])
    assert [grouped[number] for number in numbers.tolist()] == ours
    weight = torch.stack([theirs, -theirs], dim=1)
    assert torch.equal(to_ours(location, [weight])[:, 0], numbers)
    back = to_theirs(location, to_ours(location, [weight]))["fused.weight"]
    assert torch.equal(back, weight)
