"""Models to look at."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.support.tiny import Checkpoints
from tests.training.runs import copying_examples

from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

Compose = Callable[..., Path]
COPIES = [(example.source, example.target) for example in copying_examples(40)]


@pytest.fixture
def compose(checkpoints: Checkpoints, tmp_path: Path) -> Compose:
    """Saves a composition of two families, to be broken: ``compose("bert", "gpt2")``."""

    def saved(encoder: str | None, decoder: str, **options: object) -> Path:
        model = Seq2Seq.warm_start(
            encoder=None if encoder is None else checkpoints(encoder),
            decoder=checkpoints(decoder),
            **options,  # type: ignore[arg-type]
        )
        folder = tmp_path / "model"
        model.save_pretrained(folder)
        return folder

    return saved


def teach_copying(model: Seq2Seq, steps: int, *, frozen: str = "nothing") -> None:
    """Trains on `COPIES`, all but the parameters with a word in their name."""
    sources = model.encode_sources([source for source, _ in COPIES])
    targets = model.encode_targets([target for _, target in COPIES])
    start = model.tokenizers.special.start
    batch = (
        Sequences.of(sources),
        Sequences.of([[start, *target[:-1]] for target in targets]),
        Sequences.of(targets).tokens,
    )
    named = model.model.named_parameters()
    optimizer = torch.optim.AdamW([p for name, p in named if frozen not in name], lr=5e-3)
    model.model.eval()
    for _ in range(steps):
        optimizer.zero_grad()
        model.model(*batch).backward()
        optimizer.step()
