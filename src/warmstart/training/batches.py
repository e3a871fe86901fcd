"""Batches of examples without padding.

Shape legend: W examples, B examples of a batch, S source tokens and T target tokens of all of them
together.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset

from warmstart.data.example import Example
from warmstart.data.lengths import Lengths
from warmstart.data.token_rows import TokenRows, tokenize_examples
from warmstart.model.sequences import Sequences
from warmstart.seq2seq import Seq2Seq
from warmstart.text.long_sources import tighter_limit
from warmstart.training.weights import LabelWeights

__all__ = [
    "Batch",
    "TokenizedExample",
    "TokenizedExamples",
    "collate",
    "sequences",
    "tokenize_for",
    "weight_of",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokenizedExample:
    """One example in token ids.

    Attributes:
        source: the encoder's input.
        inputs: the decoder's input: the start token, then the target.
        labels: the tokens to predict: the target, then the end token. As long as `inputs`.
        weights: of the loss of each label; None: 1.
    """

    source: list[int]
    inputs: list[int]
    labels: list[int]
    weights: list[float] | None = None


class TokenizedExamples(Dataset[TokenizedExample]):
    """Examples tokenized once, with a warning that counts truncated ones.

    Token ids are in a memory-mapped file of the cache, or in memory if there are few; see
    `warmstart.data.token_rows.tokenize_examples`.

    Attributes:
        rows: the token ids.
        weights: of their labels.

    Args:
        model: its tokenizers and limits are used.
        examples: at least one.
        max_source_length: tokens; longer sources are truncated. None: the model's limit.
        max_target_length: the same for targets, with the end token.
        edit_weight: see `TrainConfig`.

    Raises:
        UsageError: if all weights are 0, or edits cannot be identified with these tokenizers.
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
        _warn_of_truncation("sources", self.rows.source_lengths)
        _warn_of_truncation("targets", self.rows.target_lengths)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> TokenizedExample:
        row = self.rows[index]
        weights = self.weights.of(index, row.source, row.target)
        return TokenizedExample(row.source, [self.start, *row.target[:-1]], row.target, weights)

    def __iter__(self) -> Iterator[TokenizedExample]:
        return (self[index] for index in range(len(self)))

    def lengths(self, rows_W: Tensor) -> Tensor:
        """Token counts of the sources and labels of some examples. Shape: [W] -> [W, 2]"""
        return torch.from_numpy(self.rows.lengths(rows_W.numpy()))


def tokenize_for(
    model: Seq2Seq,
    examples: Sequence[Example],
    max_source_length: int | None,
    max_target_length: int | None,
) -> TokenRows:
    """Token ids for a model, truncated to its limits."""
    return tokenize_examples(
        model.tokenizers,
        examples,
        tighter_limit(max_source_length, model.source_limit),
        tighter_limit(max_target_length, model.target_limit),
    )


def _warn_of_truncation(side: str, lengths: Lengths) -> None:
    if lengths.truncated:
        logger.warning(
            "%d of %d %s are longer than %d tokens and were truncated. They lost %.1f %% of the "
            "tokens.",
            lengths.truncated,
            lengths.count,
            side,
            lengths.limit,
            100 * lengths.lost_share,
        )


class Batch(TypedDict):
    """The input of one pass. Lengths stay on the host."""

    source: Tensor  # [S]
    source_lengths: list[int]  # [B]
    target: Tensor  # [T]
    target_lengths: list[int]  # [B]
    labels: Tensor  # [T]
    weights: NotRequired[Tensor]  # [T] of the labels, where they are not all 1


def collate(examples: Sequence[TokenizedExample]) -> Batch:
    """Concatenates examples; equal lengths are adjacent, which makes attention faster."""
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
    """Source and target of a batch for the model."""
    return (
        Sequences(batch["source"], tuple(batch["source_lengths"])),
        Sequences(batch["target"], tuple(batch["target_lengths"])),
    )
