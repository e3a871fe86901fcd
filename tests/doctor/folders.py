"""Saved tiny models, to be broken, and what is found in them."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from warmstart.doctor.built_in_pairs import BUILT_IN
from warmstart.doctor.examine import CHECKS
from warmstart.doctor.finding import Finding, Verdict
from warmstart.doctor.subject import Pair, open_subject

__all__ = ["edit_json", "edit_tensors", "exchange", "look", "statuses"]


def look(folder: Path, check: str, pairs: Sequence[Pair] | None = None) -> Verdict:
    """What one check finds."""
    subject = open_subject(
        folder, BUILT_IN if pairs is None else pairs, pairs_given=pairs is not None
    )
    (chosen,) = (known for known in CHECKS if known.name == check)
    return chosen.run(subject)


def statuses(findings: Sequence[Finding]) -> dict[str, str]:
    """Each check's status."""
    return {finding.check: finding.status for finding in findings}


def edit_json(file: Path, **values: Any) -> None:
    """Changes members of a JSON object; None takes one out."""
    changed = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({key: v for key, v in changed.items() if v is not None}))


def edit_tensors(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    """Changes the tensors of a folder in place."""
    tensors = {name: tensor.clone() for name, tensor in load_file(_weights(folder)).items()}
    change(tensors)
    save_file(tensors, _weights(folder), metadata={"format": "pt"})


def exchange(folder: Path) -> None:
    """Puts each of two tokenizers in the other's place."""
    inner = folder / "decoder_tokenizer"
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.move(folder / file, folder / "kept")
        shutil.move(inner / file, folder / file)
        shutil.move(folder / "kept", inner / file)


def _weights(folder: Path) -> Path:
    return folder / "model.safetensors"
