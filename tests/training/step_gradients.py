"""The gradient of a run's first step, however its batch is cut.

Also a program, for several processes: torchrun step_gradients.py ENCODER DECODER FOLDER CHANGES,
where the changes are a list in JSON, one set for each of as many runs.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from safetensors.torch import save_file
from tests.training.runs import copy_task, quick
from torch import Tensor, nn

from warmstart.seq2seq import Seq2Seq
from warmstart.tasks.task import Task
from warmstart.training import loop
from warmstart.training.optimizer import clip_gradients
from warmstart.training.train import train
from warmstart.training.train_config import Lora

__all__ = ["step_gradients"]

EXAMPLES = 16  # of the step


def step_gradients(
    encoder: str | Path | None, decoder: str | Path, folder: Path, changes: dict[str, Any]
) -> dict[str, Tensor]:
    """The gradients that the optimizer gets, by parameter.

    Args:
        encoder: a checkpoint; None: the decoder reads the source as its prefix.
        decoder: a checkpoint.
        folder: of the run.
        changes: to the settings.
    """
    model = Seq2Seq.warm_start(encoder=encoder, decoder=decoder)
    config = replace(quick(folder), max_steps=1, batch_size=EXAMPLES, max_gradient_norm=0.0)
    if "lora" in changes:
        changes = {**changes, "lora": Lora(**changes["lora"])}
    found: dict[str, Tensor] = {}
    with _watched(model.model, found):
        train(model, _weighted_task(), replace(config, **changes))
    return found


def _weighted_task() -> Task:
    """Copies of texts with a word after them, with different weights."""
    task = copy_task(EXAMPLES)
    split = task.split("train")
    examples = [
        replace(example, targets=(f"{example.target} stone",), weight=0.25 * (number % 5))
        for number, example in enumerate(split.examples)
    ]
    return replace(task, splits={"train": replace(split, examples=examples)})


@contextmanager
def _watched(model: nn.Module, found: dict[str, Tensor]) -> Iterator[None]:
    """Within the block gradients are recorded right before the step."""

    def kept(*arguments: Any) -> Any:
        for name, parameter in model.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name
            if parameter.grad is not None:
                found[name] = parameter.grad.clone()
        return clip_gradients(*arguments)

    with patch.object(loop, "clip_gradients", kept):
        yield


def main() -> None:
    encoder, decoder, name, changes = sys.argv[1:]
    for run, settings in enumerate(json.loads(changes)):
        folder = Path(name) / str(run)
        found = step_gradients(encoder or None, decoder, folder, settings)
        save_file(found, folder / "gradients.safetensors")  # all processes have the same


if __name__ == "__main__":
    main()
