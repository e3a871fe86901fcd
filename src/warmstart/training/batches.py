"""Examples to batches without padding, and the order they come in.

Shape legend: B examples, S source tokens and T target tokens of all of them together.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from warmstart.data.example import Example
from warmstart.data.lengths import Lengths
from warmstart.data.tokens import TokenRows, tokenize_examples
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq, shorter
from warmstart.training.order import shuffled
from warmstart.training.weights import LabelWeights

__all__ = [
    "Batch",
    "LengthSampler",
    "TokenizedExample",
    "TokenizedExamples",
    "collate",
    "sequences",
    "tokenize_for",
    "weight_of",
]

logger = logging.getLogger(__name__)

_WINDOW = 50  # batches among which examples of like lengths are put together


@dataclass(frozen=True, slots=True)
class TokenizedExample:
    """One example in token ids.

    Attributes:
        source: as the encoder reads it.
        inputs: what the decoder reads: the start token, then the target.
        labels: what it should write: the target, then the end token. As long as `inputs`.
        weights: how much each label's loss counts; None: 1.
    """

    source: list[int]
    inputs: list[int]
    labels: list[int]
    weights: list[float] | None = None


class TokenizedExamples(Dataset[TokenizedExample]):
    """Examples tokenized once, with a counted warning for those that were cut.

    Token ids lie in a file of the cache, which is mapped into memory, or in memory where they are
    few; see `warmstart.data.tokens.tokenize_examples`.

    Attributes:
        rows: the token ids.
        weights: of their labels.

    Args:
        model: whose tokenizers and limits are used.
        examples: at least one.
        max_source_length: tokens; longer sources are cut. None: as the model allows.
        max_target_length: tokens with the end token, likewise.
        edit_weight: see `TrainConfig`.

    Raises:
        UsageError: if nothing has a weight, or the tokenizers do not tell what is an edit.
    """

    def __init__(
        self,
        model: Seq2Seq,
        examples: Sequence[Example],
        max_source_length: int | None,
        max_target_length: int | None,
        *,
        edit_weight: float = 1.0,
    ) -> None:
        self.weights = LabelWeights(model.tokenizers, examples, edit_weight)
        self.rows = tokenize_for(model, examples, max_source_length, max_target_length)
        self.start = model.tokenizers.special.start
        _warn_of_cuts("sources", self.rows.source_lengths)
        _warn_of_cuts("targets", self.rows.target_lengths)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> TokenizedExample:
        row = self.rows[index]
        weights = self.weights.of(index, row.source, row.target)
        return TokenizedExample(row.source, [self.start, *row.target[:-1]], row.target, weights)

    def __iter__(self) -> Iterator[TokenizedExample]:
        return (self[index] for index in range(len(self)))

    def lengths(self, indices: Tensor) -> list[tuple[int, int]]:
        """Tokens of the source and of the labels of some examples."""
        return [(source, labels) for source, labels in self.rows.lengths(indices.numpy()).tolist()]


def tokenize_for(
    model: Seq2Seq,
    examples: Sequence[Example],
    max_source_length: int | None,
    max_target_length: int | None,
) -> TokenRows:
    """Token ids as a model takes them: no longer than its positions allow."""
    return tokenize_examples(
        model.tokenizers,
        examples,
        shorter(max_source_length, model.source_limit),
        shorter(max_target_length, model.target_limit),
    )


def _warn_of_cuts(side: str, lengths: Lengths) -> None:
    if lengths.truncated:
        logger.warning(
            "%d of %d %s are longer than %d tokens and were cut. They lost %.1f %% of the tokens.",
            lengths.truncated,
            lengths.count,
            side,
            lengths.limit,
            100 * lengths.lost_share,
        )


class Batch(TypedDict):
    """What the trainer passes to the model. Lengths stay on the host."""

    source: Tensor  # [S]
    source_lengths: list[int]  # [B]
    target: Tensor  # [T]
    target_lengths: list[int]  # [B]
    labels: Tensor  # [T]
    weights: NotRequired[Tensor]  # [T] of the labels, where they are not all 1


def collate(examples: Sequence[TokenizedExample]) -> Batch:
    """Lays examples one after the other; equal lengths side by side, for attention's sake."""
    ordered = sorted(examples, key=lambda example: (len(example.source), len(example.labels)))
    batch = Batch(
        source=torch.tensor([token for example in ordered for token in example.source]),
        source_lengths=[len(example.source) for example in ordered],
        target=torch.tensor([token for example in ordered for token in example.inputs]),
        target_lengths=[len(example.inputs) for example in ordered],
        labels=torch.tensor([token for example in ordered for token in example.labels]),
    )
    if any(example.weights is not None for example in ordered):
        rows = (example.weights or [1.0] * len(example.labels) for example in ordered)
        batch["weights"] = torch.tensor([weight for row in rows for weight in row])
    return batch


def weight_of(batch: Batch) -> float:
    """The sum of the weights of a batch's labels; without weights, their number."""
    if "weights" not in batch:
        return float(batch["labels"].numel())
    return float(batch["weights"].sum(dtype=torch.float64))


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
        self.examples = examples
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        window = _WINDOW * self.batch_size
        for order in shuffled(len(self.examples), window, generator):
            lengths = dict(zip(order.tolist(), self.examples.lengths(order), strict=True))
            rows = sorted(lengths, key=lengths.__getitem__)
            full = len(rows) // self.batch_size
            for batch in torch.randperm(full, generator=generator).tolist():
                yield from rows[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield from rows[full * self.batch_size :]  # last, or it would shift those behind it
