"""Examples to batches without padding, and the order they come in.

Shape legend: B examples, S source tokens and T target tokens of all of them together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from warmstart.data.example import Example
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq

__all__ = [
    "Batch",
    "LengthSampler",
    "TokenizedExample",
    "TokenizedExamples",
    "collate",
    "sequences",
]

_WINDOW = 50  # batches among which examples of like lengths are put together


@dataclass(frozen=True, slots=True)
class TokenizedExample:
    """One example in token ids.

    Attributes:
        source: as the encoder reads it.
        inputs: what the decoder reads: the start token, then the target.
        labels: what it should write: the target, then the end token. As long as `inputs`.
    """

    source: list[int]
    inputs: list[int]
    labels: list[int]


class TokenizedExamples(Dataset[TokenizedExample]):
    """Examples tokenized once, with a counted warning for those that were cut."""

    def __init__(
        self,
        model: Seq2Seq,
        examples: Sequence[Example],
        max_source_length: int | None,
        max_target_length: int | None,
    ) -> None:
        sources = model.encode_sources([example.source for example in examples], max_source_length)
        targets = model.encode_targets([example.target for example in examples], max_target_length)
        start = model.tokenizers.special.start
        self.examples = [
            TokenizedExample(source, [start, *target[:-1]], target)
            for source, target in zip(sources, targets, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> TokenizedExample:
        return self.examples[index]


class Batch(TypedDict):
    """What the trainer passes to the model. Lengths stay on the host."""

    source: Tensor  # [S]
    source_lengths: list[int]  # [B]
    target: Tensor  # [T]
    target_lengths: list[int]  # [B]
    labels: Tensor  # [T]; the name by which the trainer counts the tokens of a step


def collate(examples: Sequence[TokenizedExample]) -> Batch:
    """Lays examples one after the other; equal lengths side by side, for attention's sake."""
    ordered = sorted(examples, key=lambda example: (len(example.source), len(example.labels)))
    return Batch(
        source=torch.tensor([token for example in ordered for token in example.source]),
        source_lengths=[len(example.source) for example in ordered],
        target=torch.tensor([token for example in ordered for token in example.inputs]),
        target_lengths=[len(example.inputs) for example in ordered],
        labels=torch.tensor([token for example in ordered for token in example.labels]),
    )


def sequences(batch: Batch) -> tuple[Sequences, Sequences]:
    """Source and target of a batch as the model takes them."""
    return (
        Sequences(batch["source"], tuple(batch["source_lengths"])),
        Sequences(batch["target"], tuple(batch["target_lengths"])),
    )


class LengthSampler(Sampler[int]):
    """An order by seed and epoch in which neighbours are of like length.

    Examples are shuffled, sorted by length within windows of some batches, and the batches of a
    window shuffled again: a batch's lengths agree, yet which examples meet is new every epoch.
    The order depends on nothing else, so an interrupted run finds its place again.

    Args:
        examples: to be ordered.
        batch_size: examples of a whole optimizer step, so that a step has the same ones however
            it is cut into passes and processes.
        seed: of every epoch's order.
    """

    def __init__(self, examples: TokenizedExamples, batch_size: int, seed: int) -> None:
        self.lengths = [(len(row.source), len(row.labels)) for row in examples.examples]
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        window = _WINDOW * self.batch_size
        for start in range(0, len(order), window):
            rows = sorted(order[start : start + window], key=lambda row: self.lengths[row])
            full = len(rows) // self.batch_size
            for batch in torch.randperm(full, generator=generator).tolist():
                yield from rows[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield from rows[full * self.batch_size :]  # last, or it would shift those behind it
