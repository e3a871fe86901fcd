"""Options of a composition: one list for Python, recipes and the command line."""

from pathlib import Path

import pytest

from warmstart import Seq2Seq
from warmstart.composition.composition_options import CompositionOptions
from warmstart.composition.variants import VariantOptions
from warmstart.errors import UsageError


def test_checkpoints_are_positional_or_named() -> None:
    expected = CompositionOptions(encoder="a", decoder="b")
    assert CompositionOptions("a", "b") == expected
    assert CompositionOptions(Path("a"), Path("b")) == expected
    assert CompositionOptions(None, "b").encoder is None


@pytest.mark.parametrize(
    ("given", "layers"),
    [(2, 2), ("2", 2), ([0, 3], (0, 3)), ("0,3", (0, 3)), (range(2), (0, 1)), (None, None)],
)
def test_layers_are_a_number_or_a_list(given: object, layers: object) -> None:
    options = CompositionOptions("a", "b", encoder_layers=given)  # type: ignore[arg-type]
    assert options.encoder_layers == layers


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"share": "al"}, "share is 'al'; did you mean 'all'? Allowed: none, embeddings,"),
        ({"decoder_layers": "two"}, "decoder_layers is 'two'; give a number of layers (2), or"),
        ({"encoder_layers": [0, 1.5]}, "encoder_layers is [0, 1.5]; give a number of layers"),
        ({"decoder": 3}, "3 is not a checkpoint; give a folder or a hub id."),
        ({"seed": "one"}, "seed is 'one'; give a whole number."),
    ],
)
def test_a_wrong_option_is_a_sentence(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        CompositionOptions(**{"encoder": "a", "decoder": "b", **options})  # type: ignore[arg-type]
    assert str(caught.value).startswith(sentence)


def test_a_variant_is_checked_with_its_checkpoints() -> None:
    assert VariantOptions("bertShare", checkpoints={"bert": Path("a")}).checkpoints == {"bert": "a"}
    with pytest.raises(UsageError, match="no variant 'bertshare'; did you mean 'bertShare'"):
        VariantOptions("bertshare")
    with pytest.raises(UsageError, match=r"gpt has no checkpoint of the kind 'bert'; .*: gpt2\."):
        VariantOptions("gpt", checkpoints={"bert": "a"})


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="warm_start has no option 'shore'; did you mean 'share'"):
        Seq2Seq.warm_start("a", "b", shore="all")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match=r"from_variant has no option 'name'; give variant=NAME\."):
        Seq2Seq.from_variant(name="bertShare")  # type: ignore[call-arg]
