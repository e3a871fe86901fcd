"""The page on adding a family: its worked example passes the tests that the page says it does."""

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.parity import test_decoder_families as parity
from tests.support import tiny, tiny_decoders
from tests.support.tiny import Checkpoints

from warmstart.errors import CheckpointError
from warmstart.families import catalogue
from warmstart.families.family import Family
from warmstart.model.config import StackConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "add-a-family.md").read_text(encoding="utf-8")
NAME = "stablelm"
# What "the parity tests run over every entry" stands for.
PROOF: tuple[Callable[..., None], ...] = (
    parity.test_logits_of_sequences_one_by_one,
    parity.test_logits_of_a_padded_batch,
    parity.test_steps_after_prefixes_of_different_lengths,
    parity.test_bfloat16_error_is_at_most_three_times_that_of_transformers,
    parity.test_a_checkpoint_goes_through_a_decoder_bit_for_bit,
    parity.test_an_encoder_is_the_decoder_with_its_causal_mask_lifted,
    parity.test_a_composition_learns_writes_and_comes_back,
)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Family:
    """The page's family in its place, as steps 1 to 3 say."""
    file, entry = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    module: dict[str, Any] = {}
    exec(compile(file, f"{NAME}.py", "exec"), module)
    family: Family = module["STABLELM"]
    monkeypatch.setattr(catalogue, "FAMILIES", (*catalogue.FAMILIES, family))
    added: dict[str, Any] = eval(f"{{{entry}}}", vars(tiny_decoders))
    monkeypatch.setattr(tiny, "_OTHERS", {**tiny._OTHERS, **added})
    return family


@pytest.mark.parametrize("proof", PROOF, ids=lambda proof: proof.__name__.removeprefix("test_"))
def test_the_worked_example(
    proof: Callable[..., None], example: Family, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    available = {
        "name": NAME,
        "folders": parity.Folders(tmp_path / "folders"),
        "checkpoints": checkpoints,
        "tmp_path": tmp_path / "own",
        "start": "random",
    }
    names = proof.__code__.co_varnames[: proof.__code__.co_argcount]
    proof(**{name: available[name] for name in names})


def test_the_example_is_not_among_the_families_yet() -> None:
    """Else the page would need another."""
    with pytest.raises(CheckpointError, match=f"family '{NAME}'"):
        catalogue.family_of({"model_type": NAME}, "The page's example")


def test_the_page_names_every_value_of_a_stack() -> None:
    assert not [field.name for field in fields(StackConfig) if f"`{field.name}`" not in PAGE]


@pytest.mark.parametrize("path", re.findall(r"`((?:src|tests)/[^`]+\.py)`", PAGE))
def test_the_files_that_the_page_names_exist(path: str) -> None:
    assert (ROOT / path).exists() or path.endswith(f"/{NAME}.py")
