"""Passes that do not fit into memory are made in pieces, and the update stays the same."""

import gc
import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from warmstart.errors import TrainingError
from warmstart.training.config import TrainConfig
from warmstart.training.processes import average_gradients, greatest
from warmstart.writing import atomic_file

__all__ = ["OutOfMemory", "Passes", "is_out_of_memory", "told_of_memory"]

logger = logging.getLogger(__name__)

RECORD: Final = "out_of_memory.json"
# What allocators say for which torch has no type.
_SAID: Final = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)

Inputs = dict[str, Any]
Make = Callable[[Inputs, Tensor | int | None], Tensor]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, of whichever kind."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(each in str(error) for each in _SAID)


class OutOfMemory(TrainingError):
    """Not even a single example fits into memory."""


class Record:
    """From which step on passes are made in how many pieces; a file in the run's folder.

    It is no part of a checkpoint: where memory ran out so badly that the run ended, the next one
    has to know.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self.entries: list[dict[str, int]] = []
        if self.path.is_file():
            self.entries = json.loads(self.path.read_text(encoding="utf-8"))

    def pieces(self, step: int) -> int:
        """How many pieces a pass is made in at a step, counted from 0."""
        return max([1, *(entry["pieces"] for entry in self.entries if entry["step"] <= step)])

    def tell(self) -> None:
        """Says what was noted before this run."""
        if self.entries:
            last = self.entries[-1]
            logger.info(
                "passes are made in %d pieces from step %d on, where memory ran out; remove %s to "
                "try whole ones again",
                last["pieces"],
                last["step"] + 1,
                self.path,
            )

    def add(self, step: int, pieces: int) -> None:
        """Notes that it is so many from a step on."""
        self.entries.append({"step": step, "pieces": pieces})
        with atomic_file(self.path) as partial:
            partial.write_text(json.dumps(self.entries) + "\n", encoding="utf-8")


class Passes:
    """Makes the passes of a step; all of them again, in smaller pieces, where memory ran out.

    A pass that fails may have added to some of the gradients and not to others, so the gradients of
    the whole step are dropped and all of its passes made again: to keep a copy of the gradients
    before each pass would take the memory that is short. The random state of the step's beginning
    is restored, so that a resumed run, which starts the step with the smaller pieces, draws the
    same dropout.

    Every process makes its own passes, with nothing sent in between. At the end of the step all
    agree on the number of pieces; who had fewer makes its passes again. Then the gradients are
    averaged.

    Args:
        model: whose gradients are collected.
        make: makes one pass or piece, forward and backward, and returns its loss.
        read: makes the inputs of some examples from their numbers.
        config: of the run.
        accelerator: knows the other processes.
        sharded: whether no process has the whole model. A pass then takes all processes together,
            and one that fails ends the run, which makes smaller pieces when it is resumed.
    """

    def __init__(
        self,
        model: nn.Module,
        make: Make,
        read: Callable[[Sequence[int]], Inputs],
        config: TrainConfig,
        accelerator: Accelerator,
        *,
        sharded: bool,
    ) -> None:
        self.model = model
        self.make = make
        self.read = read
        self.config = config
        self.accelerator = accelerator
        self.sharded = sharded
        self.record = Record(config.output_dir)
        if accelerator.is_main_process:
            self.record.tell()
        self.step = 0
        self.pieces = 1
        self.under_way: Sequence[int] = ()  # numbers of the examples of the pass or piece
        self.made: list[tuple[list[int], Inputs, Tensor | int | None]] = []

    def begin(self, step: int) -> None:
        """Called before the first pass of a step, counted from 0."""
        self.step = step
        self.pieces = max(self.pieces, self.record.pieces(step))
        self.made = []
        self.random = _random_state()

    def add(self, numbers: list[int], inputs: Inputs, label_count: Tensor | int | None) -> Tensor:
        """Makes the next pass.

        Args:
            numbers: of its examples.
            inputs: the batch.
            label_count: of the whole step.

        Returns:
            Its loss. Shape: []

        Raises:
            OutOfMemory: if not even a single example fits.
        """
        self.made.append((numbers, inputs, label_count))
        return self._until_it_fits(lambda: self._make(*self.made[-1]))

    def finish(self) -> None:
        """Averages the gradients of the step over all processes, once all have all of them.

        Raises:
            OutOfMemory: if another process has run out of memory for good.
        """
        if self.accelerator.num_processes > 1 and not self.sharded:
            while True:
                most, fewest, lost = self._agree()
                if lost:
                    raise OutOfMemory("Another process has run out of memory; it says more.")
                if most == -fewest:
                    break
                if self.pieces < most:
                    self.pieces = most
                    self._until_it_fits(self._all_again)
            average_gradients([p for p in self.model.parameters() if p.requires_grad])
        if self.pieces > self.record.pieces(self.step) and self.accelerator.is_main_process:
            self.record.add(self.step, self.pieces)
        self.made = []

    def _agree(self, *, lost: bool = False) -> list[int]:
        return greatest([self.pieces, -self.pieces, lost], self.accelerator.device)

    def _until_it_fits(self, attempt: Callable[[], Tensor]) -> Tensor:
        while True:
            try:
                return attempt()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Here and not above: the error holds on to all that the pass had in memory.
            self._halve()
            attempt = self._all_again

    def _halve(self) -> None:
        self.model.zero_grad()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(self.under_way) == 1:
            if self.accelerator.num_processes > 1 and not self.sharded:
                self._agree(lost=True)
            raise OutOfMemory(self._sentence(self.under_way[0]))
        size, accumulation = self._micro_batch(), self.config.accumulation_steps * self.pieces
        self.pieces *= 2
        logger.warning(
            "Out of memory at step %d, in a pass over %d examples: the micro-batch is halved from "
            "%d to %d %s, and accumulation doubled from %d to %d passes a step. The update stays "
            "the same.",
            self.step + 1,
            len(self.under_way),
            size,
            self._micro_batch(),
            "examples" if self.config.batch_tokens is None else "tokens",
            accumulation,
            2 * accumulation,
        )
        if self.sharded:
            self.record.add(self.step, self.pieces)
            raise OutOfMemory(
                "A process of a sharded run cannot begin a pass again on its own; resume the run "
                "(--resume), which makes the smaller passes."
            )

    def _micro_batch(self) -> int:
        return -(-(self.config.batch_tokens or self.config.batch_size) // self.pieces)

    def _sentence(self, number: int) -> str:
        source, target = self._tokens(number)
        return (
            f"Out of memory at step {self.step + 1} with a micro-batch of one example: the "
            f"training example {number} (counted from 0), of {source} source and {target} target "
            "tokens. Lower task.max_source_length or task.max_target_length, or take optimizer "
            "'adafactor' or a smaller model."
        )

    def _tokens(self, number: int) -> tuple[int, int]:
        inputs = self.read([number])
        return inputs["source_lengths"][0], inputs["target_lengths"][0]

    def _all_again(self) -> Tensor:
        """All passes so far of this step. Returns the loss of the last. Shape: []"""
        self.model.zero_grad()
        _set_random_state(self.random)
        losses = [self._make(*made) for made in self.made]
        return losses[-1]

    def _make(self, numbers: list[int], inputs: Inputs, label_count: Tensor | int | None) -> Tensor:
        if self.pieces == 1:
            self.under_way = numbers
            return self.make(inputs, label_count)
        losses = []
        for piece in self._cut(numbers):
            self.under_way = piece
            losses.append(self.make(self.read(piece), label_count))
        if self.sharded:  # all processes make equally many pieces; these add nothing
            for _ in range(self.pieces - len(losses)):
                losses.append(self.make(self.read(self.under_way), torch.tensor(math.inf)))
        return torch.stack(losses).sum()

    def _cut(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        """Pieces that all have long and short examples."""
        ordered = sorted(numbers, key=lambda number: (sum(self._tokens(number)), number))
        for piece in range(min(self.pieces, len(ordered))):
            yield ordered[piece :: self.pieces]


def _random_state() -> tuple[Tensor, Tensor | None]:
    on_gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return torch.get_rng_state(), on_gpu


def _set_random_state(state: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])


@contextmanager
def told_of_memory() -> Iterator[None]:
    """Ends a run in a sentence where memory runs out anywhere else than in a pass.

    Raises:
        OutOfMemory: instead of the allocator's error.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        said = str(error).partition("\n")[0]
        raise OutOfMemory(
            f"Out of memory outside of a training pass ({said}). Take optimizer 'adafactor' or a "
            "smaller model, or lower task.max_target_length; then resume."
        ) from None
