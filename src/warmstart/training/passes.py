"""The examples of each pass of each optimizer step.

Shape legend: W examples at hand, N examples of a step.
"""

from collections.abc import Iterator
from itertools import count, islice

import torch
from torch import Tensor
from torch.utils.data import Sampler

from warmstart.training.batches import TokenizedExamples
from warmstart.training.order import shuffled
from warmstart.training.train_config import TrainConfig

__all__ = ["PassSampler", "pass_sampler"]

_WINDOW = 50  # steps among which examples of similar lengths are grouped


class PassSampler(Sampler[list[int]]):
    """Passes of a whole run, each of examples of similar lengths.

    Examples are shuffled, sorted by length within windows of some steps, and the steps of a window
    shuffled again: lengths are similar, yet every epoch groups other examples. A step is then split
    into passes. The examples of a step depend only on the seed, the epoch and the size of the step,
    not on its split, so an interrupted run continues at its position, also with another number of
    processes. Epochs follow each other without a break: examples that do not fill a step wait for
    the next window.

    Args:
        examples: of the training split.
        steps: optimizer steps of the run.
        passes: of a step, over all processes.
        size: examples of a pass.
        tokens: tokens of a pass, sources and labels together, in place of `size`; None: by `size`.
            A step has at most `passes` times as many; a pass has nearly its share, and at least one
            example.
        seed: of every epoch's order.

    Attributes:
        taken: examples taken up to the end of each step, for the steps yielded so far.
    """

    def __init__(
        self,
        examples: TokenizedExamples,
        *,
        steps: int,
        passes: int,
        size: int,
        tokens: int | None = None,
        seed: int = 0,
    ) -> None:
        self.examples, self.seed = examples, seed
        self.steps, self.passes = steps, passes
        self._size = size * passes
        self._tokens = None if tokens is None else tokens * passes
        self.taken: list[int] = []

    def __len__(self) -> int:
        return self.steps * self.passes

    def __iter__(self) -> Iterator[list[int]]:
        self.taken = []
        for rows_N in islice(self._steps(), self.steps):
            self.taken.append(len(rows_N) + (self.taken[-1] if self.taken else 0))
            yield from (part.tolist() for part in self._split(rows_N))

    def _steps(self) -> Iterator[Tensor]:
        """An endless iterator over steps. Shape of each: [N]"""
        waiting_W = torch.zeros(0, dtype=torch.long)
        for epoch in count():
            # Not their sum: the second epoch of a seed would be the first of the next.
            number = (self.seed * 1_000_003 + epoch) % 2**63
            generator = torch.Generator().manual_seed(number)
            for window_W in shuffled(len(self.examples), self._window(), generator):
                rows_W = torch.cat((waiting_W, window_W))
                if self._tokens is None:
                    groups, waiting_W = self._of_size(rows_W)
                else:
                    groups, waiting_W = self._of_tokens(rows_W, self._tokens, generator)
                for index in torch.randperm(len(groups), generator=generator).tolist():
                    yield groups[index]

    def _window(self) -> int:
        """Examples of a window."""
        if self._tokens is None:
            return _WINDOW * self._size
        some = torch.arange(min(len(self.examples), 1000))
        mean = float(self.examples.lengths(some).sum(1).double().mean())
        return _WINDOW * max(round(self._tokens / mean), self.passes)

    def _of_size(self, rows_W: Tensor) -> tuple[list[Tensor], Tensor]:
        """Steps of the same number of examples, and the remaining examples."""
        full = len(rows_W) // self._size * self._size
        if not full:
            return [], rows_W
        chosen = self._sorted(rows_W[:full])
        return list(chosen.split(self._size)), rows_W[full:]

    def _of_tokens(
        self, rows_W: Tensor, tokens: int, generator: torch.Generator
    ) -> tuple[list[Tensor], Tensor]:
        """Steps of at most `tokens` tokens, and the remaining examples.

        These are at random the longest or the shortest, or one of them would be seen too rarely.
        """
        rows_W = self._sorted(rows_W)
        if torch.randint(2, (), generator=generator):
            rows_W = rows_W.flip(0)
        ends_W = self.examples.lengths(rows_W).sum(1).cumsum(0)
        groups, first, before = [], 0, 0
        while first < len(rows_W):
            end = int(torch.searchsorted(ends_W, before + tokens, right=True))
            end = max(end, first + self.passes)
            if end >= len(rows_W):
                break
            groups.append(rows_W[first:end])
            first, before = end, int(ends_W[end - 1])
        return groups, rows_W[first:]

    def _sorted(self, rows_W: Tensor) -> Tensor:
        """By source, then by labels; equal ones as they came."""
        lengths = self.examples.lengths(rows_W)
        by_labels = rows_W[lengths[:, 1].argsort(stable=True)]
        return by_labels[self.examples.lengths(by_labels)[:, 0].argsort(stable=True)]

    def _split(self, rows_N: Tensor) -> Iterator[Tensor]:
        """The passes of a step: of equal numbers of examples, or nearly equal numbers of tokens."""
        if self._tokens is None:
            yield from rows_N.split(self._size // self.passes)
            return
        ends_N = self.examples.lengths(rows_N).sum(1).cumsum(0)
        first = 0
        for left in range(self.passes - 1, 0, -1):
            share = int(ends_N[-1]) * (self.passes - left) // self.passes
            end = int(torch.searchsorted(ends_N, share, right=True))
            end = min(max(end, first + 1), len(rows_N) - left)
            yield rows_N[first:end]
            first = end
        yield rows_N[first:]


def pass_sampler(examples: TokenizedExamples, config: TrainConfig, processes: int) -> PassSampler:
    """The passes of a run, over all processes."""
    return PassSampler(
        examples,
        steps=config.max_steps,
        passes=config.accumulation_steps * processes,
        size=config.batch_size,
        tokens=config.batch_tokens,
        seed=config.seed,
    )
